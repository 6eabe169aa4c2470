// SPDX-License-Identifier: Apache-2.0
#include <spillway/db/consistency_token.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <iterator>
#include <ostream>
#include <stdexcept>

namespace spillway {

namespace {

constexpr std::size_t check_digits{8};

/// CRC-32 as in IEEE 802.3: any change of up to three bits, and any within 32 bits in a row, is noticed.
std::uint32_t check_of(std::string_view text) noexcept {
  constexpr auto step = [](std::uint32_t nibble) {
    for (int bit = 0; bit < 4; ++bit) nibble = (nibble >> 1U) ^ ((nibble & 1U) != 0 ? 0xedb8'8320U : 0U);
    return nibble;
  };
  static constexpr auto table = [step] {
    std::array<std::uint32_t, 16> made{};
    for (std::uint32_t i = 0; i < made.size(); ++i) made[i] = step(i);
    return made;
  }();
  std::uint32_t check{0xffff'ffffU};
  for (const char c : text) {
    check ^= static_cast<unsigned char>(c);
    check = (check >> 4U) ^ table[check & 15U];
    check = (check >> 4U) ^ table[check & 15U];
  }
  return ~check;
}

db_error invalid(std::string_view what) { return {db_errc::invalid_token, std::string{what}}; }

/// The text up to the next '-', which is taken away with it.
std::string_view next_part(std::string_view& text) noexcept {
  const auto end = text.find('-');
  const auto part = text.substr(0, end);
  text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
  return part;
}

/// Lower-case hexadecimal digits, as many as `Number` may have; exactly one text for each number.
template <class Number>
bool read_hex(std::string_view part, Number& number, bool fixed_width = false) noexcept {
  constexpr std::size_t most{sizeof(Number) * 2};
  if (part.empty() || part.size() > most || (fixed_width ? part.size() != most : part.front() == '0')) return false;
  if (std::ranges::any_of(part, [](char c) { return c >= 'A' && c <= 'F'; })) return false;
  const auto [end, problem] = std::from_chars(part.data(), part.data() + part.size(), number, 16);
  return problem == std::errc{} && end == part.data() + part.size();
}

}  // namespace

consistency_token::consistency_token(std::uint64_t system, std::uint32_t timeline, std::uint64_t position, bool primary_only)
    : system_{system}, position_{position}, timeline_{timeline}, primary_only_{primary_only} {
  const auto* const zero = system == 0 ? "system" : timeline == 0 ? "timeline" : position == 0 ? "position" : nullptr;
  if (zero != nullptr) throw std::invalid_argument{fmt::format("consistency_token: {} is 0; it must be above 0", zero)};
}

std::string consistency_token::to_string() const {
  if (empty()) return {};
  auto text = fmt::format("1{}-{:x}-{:x}-{:x}-", primary_only_ ? "p" : "", system_, timeline_, position_);
  fmt::format_to(std::back_inserter(text), "{:08x}", check_of(text));
  return text;
}

result<consistency_token, db_error> consistency_token::parse(std::string_view text) {
  if (text.empty()) return consistency_token{};
  if (text.size() > longest_text_bytes) return invalid(fmt::format("it is {} bytes long; a token has at most {}", text.size(), longest_text_bytes));
  auto rest = text;
  const auto version = next_part(rest);
  if (version != "1" && version != "1p") return invalid("the version, before the first '-', is not one of 1 and 1p");
  consistency_token token;
  if (!read_hex(next_part(rest), token.system_)) {
    return invalid("the system, part 2, is not 1 to 16 lower-case hexadecimal digits without a leading 0");
  }
  if (!read_hex(next_part(rest), token.timeline_)) {
    return invalid("the timeline, part 3, is not 1 to 8 lower-case hexadecimal digits without a leading 0");
  }
  if (!read_hex(next_part(rest), token.position_)) {
    return invalid("the position, part 4, is not 1 to 16 lower-case hexadecimal digits without a leading 0");
  }
  std::uint32_t check{0};
  if (!read_hex(rest, check, true)) return invalid("the check, part 5, is not exactly 8 lower-case hexadecimal digits: the token was cut or mistyped");
  if (check != check_of(text.substr(0, text.size() - check_digits))) return invalid("the check does not fit the rest: the token was mistyped");
  token.primary_only_ = version.size() == 2;
  return token;
}

result<void, db_error> consistency_token::merge(const consistency_token& other) {
  if (other.empty()) return {};
  if (empty()) {
    *this = other;
    return {};
  }
  if (system_ != other.system_) {
    return db_error{db_errc::foreign_token, fmt::format("one of the system {} cannot be merged with one of the system {}", other.system_, system_)};
  }
  const bool primary_only = primary_only_ || other.primary_only_;
  if (timeline_ < other.timeline_ || (timeline_ == other.timeline_ && position_ < other.position_)) *this = other;
  primary_only_ = primary_only;
  return {};
}

bool consistency_token::covers(const consistency_token& other) const noexcept {
  if (other.empty()) return true;
  if (system_ != other.system_ || (other.primary_only_ && !primary_only_)) return false;
  return timeline_ > other.timeline_ || (timeline_ == other.timeline_ && position_ >= other.position_);
}

std::ostream& operator<<(std::ostream& out, const consistency_token& token) { return out << token.to_string(); }

}  // namespace spillway
