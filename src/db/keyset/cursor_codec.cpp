// SPDX-License-Identifier: Apache-2.0
#include "cursor_codec.hpp"

#include "base64url.hpp"
#include "signature.hpp"

#include <fmt/format.h>

#include <bit>
#include <chrono>
#include <utility>

namespace spillway::detail {

namespace {

// version, length of all (2 bytes), flags, fingerprint, expiry in ms since the epoch or 0, token, values, signature. The version and the length come
// first, in four characters of their own, so that a cursor that lost its end can be told from one that was changed.
constexpr unsigned char version{1};
constexpr std::size_t head_bytes{3};
constexpr std::size_t signature_bytes{16};  // the first half of the digest, as RFC 2104 allows
constexpr std::string_view purpose{"spillway.cursor\n"};
constexpr unsigned char flag_backward{1};
/// No more fits into the longest cursor that may be configured.
constexpr std::size_t most_bytes{6'144};

void append_number(std::string& bytes, std::uint64_t number) {
  for (; number >= 0x80; number >>= 7U) bytes += static_cast<char>(number | 0x80U);
  bytes += static_cast<char>(number);
}

void append_text(std::string& bytes, std::string_view text) {
  append_number(bytes, text.size());
  bytes += text;
}

std::string_view view_of(std::span<const std::byte> blob) noexcept {
  return {static_cast<const char*>(static_cast<const void*>(blob.data())), blob.size()};
}

/// Reads what was appended; once something is missing, all that follows is empty and `sound` is false.
class reader {
 public:
  explicit reader(std::string_view bytes) noexcept : rest_{bytes} {}

  [[nodiscard]] bool sound() const noexcept { return sound_; }
  [[nodiscard]] bool at_end() const noexcept { return rest_.empty(); }

  std::string_view take(std::uint64_t count) noexcept {
    if (count > rest_.size()) return fail();
    const auto taken = rest_.substr(0, static_cast<std::size_t>(count));
    rest_.remove_prefix(taken.size());
    return taken;
  }

  unsigned char byte() noexcept {
    const auto taken = take(1);
    return taken.empty() ? 0 : static_cast<unsigned char>(taken[0]);
  }

  std::uint64_t number() noexcept {
    std::uint64_t made{0};
    for (unsigned shift = 0; shift < 64; shift += 7) {
      const auto next = byte();
      if (shift == 63 && next > 1) break;
      made |= std::uint64_t{next & 0x7fU} << shift;
      if (next < 0x80) return made;
    }
    fail();
    return 0;
  }

  std::string_view text() noexcept { return take(number()); }

  sql_value value() noexcept {
    switch (const auto type = byte(); type) {
      case static_cast<unsigned char>(sql_type::null): return {};
      case static_cast<unsigned char>(sql_type::integer): return std::bit_cast<std::int64_t>(number());
      case static_cast<unsigned char>(sql_type::real): return std::bit_cast<double>(number());
      case static_cast<unsigned char>(sql_type::text): return text();
      case static_cast<unsigned char>(sql_type::blob): {
        const auto bytes = text();
        return std::span{static_cast<const std::byte*>(static_cast<const void*>(bytes.data())), bytes.size()};
      }
      default: fail(); return {};
    }
  }

 private:
  std::string_view fail() noexcept {
    sound_ = false;
    rest_ = {};
    return {};
  }

  std::string_view rest_;
  bool sound_{true};
};

std::string_view as_text(const query_fingerprint& bytes) noexcept {
  return {static_cast<const char*>(static_cast<const void*>(bytes.data())), bytes.size()};
}

std::string signature_of(std::string_view key, std::string_view bytes) {
  const auto digest = hmac_sha256(key, std::string{purpose} + std::string{bytes});
  return {digest.begin(), digest.begin() + signature_bytes};
}

std::uint64_t ms_of(wall_time_point at) {
  const auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(at.time_since_epoch()).count();
  return ms > 0 ? static_cast<std::uint64_t>(ms) : 0;
}

/// The bytes of a cursor whose length is right and whose signature is genuine, without either.
result<std::string, db_error> opened(std::string_view text, const cursor_seal& seal, std::size_t max_chars) {
  if (text.size() > max_chars) {
    return db_error{db_errc::cursor_malformed, fmt::format("it has {} characters; at most {} are taken", text.size(), max_chars)};
  }
  const auto strange = [] { return db_error{db_errc::cursor_malformed, "it holds characters that no cursor has"}; };
  if (!is_base64url(text)) return strange();
  constexpr std::size_t head_chars{4};
  if (text.size() < head_chars) return db_error{db_errc::cursor_truncated, fmt::format("it has {} characters", text.size())};
  const auto head = base64url_decoded(text.substr(0, head_chars));
  if (const auto named = static_cast<unsigned char>((*head)[0]); named != version) {
    return db_error{db_errc::cursor_malformed, fmt::format("its version is {}; this program knows {}", named, version)};
  }
  const auto length = (std::size_t{static_cast<unsigned char>((*head)[1])} << 8U) | static_cast<unsigned char>((*head)[2]);
  const auto chars = base64url_chars(length);
  if (text.size() < chars) return db_error{db_errc::cursor_truncated, fmt::format("it has {} of {} characters", text.size(), chars)};
  auto bytes = base64url_decoded(text);
  if (!bytes) return strange();
  if (bytes->size() != length || length < head_bytes + signature_bytes) {
    return db_error{db_errc::cursor_malformed, "its length is not the one it names"};
  }
  const auto body = std::string_view{*bytes}.substr(0, length - signature_bytes);
  const auto signature = std::string_view{*bytes}.substr(body.size());
  bool genuine{false};
  for (const auto& key : seal.keys) genuine = same_bytes(signature_of(key, body), signature) || genuine;
  if (!genuine) return db_error{db_errc::cursor_tampered, "its signature is by none of the keys"};
  return std::string{body.substr(head_bytes)};
}

}  // namespace

void append_values(std::string& bytes, std::span<const sql_value> values) {
  for (const auto& value : values) {
    bytes += static_cast<char>(value.type());
    switch (value.type()) {
      case sql_type::null: break;
      case sql_type::integer: append_number(bytes, std::bit_cast<std::uint64_t>(std::get<std::int64_t>(value.get()))); break;
      case sql_type::real: append_number(bytes, std::bit_cast<std::uint64_t>(std::get<double>(value.get()))); break;
      case sql_type::text: append_text(bytes, std::get<std::string_view>(value.get())); break;
      case sql_type::blob: append_text(bytes, view_of(std::get<std::span<const std::byte>>(value.get()))); break;
    }
  }
}

result<std::string, db_error> encode_cursor(const cursor_content& content, const cursor_seal& seal, wall_time_point expires_at,
                                            std::size_t max_chars) {
  std::string bytes(head_bytes, '\0');
  bytes += static_cast<char>(content.backward ? flag_backward : 0);
  bytes += as_text(seal.fingerprint);
  append_number(bytes, ms_of(expires_at));
  append_text(bytes, content.token);
  append_values(bytes, content.values);
  const auto length = bytes.size() + signature_bytes;
  if (length > most_bytes || base64url_chars(length) > max_chars) {
    return db_error{db_errc::value_too_large, fmt::format("the values of the sorted columns make a cursor of {} characters; at most {} are allowed "
                                                          "(max_cursor_chars)", base64url_chars(length), max_chars)};
  }
  bytes[0] = static_cast<char>(version);
  bytes[1] = static_cast<char>(length >> 8U);
  bytes[2] = static_cast<char>(length & 0xffU);
  bytes += signature_of(seal.keys.front(), bytes);
  return base64url_encoded(bytes);
}

result<std::shared_ptr<const cursor_place>, db_error> decode_cursor(std::string_view text, const cursor_seal& seal, wall_time_point now,
                                                                    std::size_t columns, std::size_t max_chars) {
  auto body = opened(text, seal, max_chars);
  if (!body) return body.error();
  const auto place = std::make_shared<cursor_place>(std::move(*body), seal.fingerprint);
  reader from{place->storage};
  const auto flags = from.byte();
  const bool ours = same_bytes(from.take(seal.fingerprint.size()), as_text(seal.fingerprint));
  const auto expires_at = from.number();
  place->token = from.text();
  if (from.sound() && !ours) return db_error{db_errc::cursor_foreign, "it was made for another query, sort or parameters"};
  if (from.sound() && expires_at != 0 && expires_at <= ms_of(now)) {
    return db_error{db_errc::cursor_expired, fmt::format("it ended {} s ago", (ms_of(now) - expires_at) / 1'000)};
  }
  place->backward = (flags & flag_backward) != 0;
  for (std::size_t i = 0; i < columns && from.sound(); ++i) place->values.push_back(from.value());
  // Nobody but a holder of a key can make one of these.
  if (!from.sound() || !from.at_end() || flags > flag_backward) return db_error{db_errc::cursor_malformed, "it is signed, and no cursor"};
  return std::shared_ptr<const cursor_place>{place};
}

}  // namespace spillway::detail
