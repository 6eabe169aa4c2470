// SPDX-License-Identifier: Apache-2.0
#include "db/keyset/cursor_codec.hpp"

#include "db/keyset/base64url.hpp"
#include "db/keyset/signature.hpp"

#include <doctest/doctest.h>

#include <chrono>
#include <limits>
#include <random>
#include <string>
#include <vector>

using namespace spillway;
using namespace std::chrono_literals;
using detail::cursor_content;
using detail::cursor_seal;
using detail::decode_cursor;
using detail::encode_cursor;

namespace {

constexpr wall_time_point now{std::chrono::hours{500'000}};
constexpr std::size_t most{1'024};

cursor_seal seal_of(std::vector<std::string> keys, unsigned char query = 1) {
  cursor_seal made{std::move(keys), {}};
  made.fingerprint.fill(query);
  return made;
}

const cursor_seal seal = seal_of({"0123456789abcdef"});

const std::vector<std::byte> bytes{std::byte{0}, std::byte{255}};

const cursor_content sample{true, {-7, 2.5, "Zürich", nullptr, bytes, std::numeric_limits<std::int64_t>::min()}, "token-1"};

std::string cursor_of(const cursor_content& content, const cursor_seal& by = seal, wall_time_point expires_at = {}) {
  return encode_cursor(content, by, expires_at, most).value();
}

db_error refusal(std::string_view text, const cursor_seal& by = seal, wall_time_point at = now, std::size_t columns = 6) {
  return decode_cursor(text, by, at, columns, most).error();
}

std::string bytes_of(const std::vector<sql_value>& values) {
  std::string made;
  detail::append_values(made, values);
  return made;
}

}  // namespace

TEST_CASE("signature.agrees with RFC 4231 and FIPS 180") {
  const auto hex = [](const detail::sha256_digest& digest) {
    std::string made;
    for (const auto byte : digest) {
      made += "0123456789abcdef"[byte >> 4U];
      made += "0123456789abcdef"[byte & 15U];
    }
    return made;
  };
  CHECK(hex(detail::sha256("abc")) == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  CHECK(hex(detail::hmac_sha256("Jefe", "what do ya want for nothing?")) ==
        "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
  CHECK(detail::same_bytes("ab", "ab"));
  CHECK_FALSE(detail::same_bytes("ab", "ac"));
  CHECK_FALSE(detail::same_bytes("ab", "abc"));
}

TEST_CASE("cursor_codec.every value comes back as it went in, in characters for a URL") {
  const auto text = cursor_of(sample);
  CHECK(text.find_first_not_of("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_") == std::string::npos);
  const auto place = decode_cursor(text, seal, now, 6, most).value();
  CHECK(place->backward);
  CHECK(place->token == "token-1");
  CHECK(bytes_of(place->values) == bytes_of(sample.values));
  const auto plain = decode_cursor(cursor_of({false, {1}, {}}), seal, now, 1, most).value();
  CHECK_FALSE(plain->backward);
  CHECK(plain->token.empty());
}

TEST_CASE("cursor_codec.different values never look the same") {
  CHECK(bytes_of({"ab", "c"}) != bytes_of({"a", "bc"}));
  CHECK(bytes_of({1}) != bytes_of({1.0}));
  CHECK(bytes_of({"1"}) != bytes_of({1}));
  CHECK(bytes_of({nullptr}) != bytes_of({""}));
}

TEST_CASE("cursor_codec.one that lost its end, at any place, is truncated, and says how much is there") {
  const auto text = cursor_of(sample);
  for (std::size_t length = 1; length < text.size(); ++length) {
    CAPTURE(length);
    CHECK(refusal(text.substr(0, length)) == db_errc::cursor_truncated);
  }
  CHECK(refusal(text.substr(0, 20)).message() == "it has 20 of " + std::to_string(text.size()) + " characters");
}

TEST_CASE("cursor_codec.one that was changed, at any place, is refused") {
  const auto text = cursor_of(sample);
  for (std::size_t at = 0; at < text.size(); ++at) {
    CAPTURE(at);
    auto changed = text;
    changed[at] = changed[at] == 'A' ? 'B' : 'A';
    const auto error = refusal(changed);
    // The first four characters are the version and the length; the last may hold bits that must be zero.
    const bool frame = at < 4 || at + 1 == text.size();
    CHECK((error == db_errc::cursor_tampered || (frame && (error == db_errc::cursor_truncated || error == db_errc::cursor_malformed))));
    CHECK(error == errc::invalid);
  }
}

TEST_CASE("cursor_codec.what is no cursor is malformed, and says why") {
  const auto message = [](std::string_view text) {
    const auto error = refusal(text);
    CHECK(error == db_errc::cursor_malformed);
    return std::string{error.message()};
  };
  const auto text = cursor_of(sample);
  CHECK(message("hello world") == "it holds characters that no cursor has");
  CHECK(message(text.substr(0, 10) + "%" + text.substr(11)) == "it holds characters that no cursor has");
  CHECK(message("AgAg" + text.substr(4)) == "its version is 2; this program knows 1");
  CHECK(message(text + "AAAA") == "its length is not the one it names");
  CHECK(message("AQAD") == "its length is not the one it names");  // names no more than itself
  CHECK(message(std::string(2'000, 'A')) == "it has 2000 characters; at most 1024 are taken");
}

TEST_CASE("cursor_codec.the newest key signs, older ones are accepted, strangers' are not") {
  const auto both = seal_of({"the newest key of all", "0123456789abcdef"});
  const auto newest = seal_of({"the newest key of all"});
  CHECK(decode_cursor(cursor_of(sample, seal), both, now, 6, most).has_value());
  CHECK(decode_cursor(cursor_of(sample, both), newest, now, 6, most).has_value());
  CHECK(refusal(cursor_of(sample, both), seal) == db_errc::cursor_tampered);
  CHECK(refusal(cursor_of(sample, both), seal).message() == "its signature is by none of the keys");
}

TEST_CASE("cursor_codec.one of another query is foreign, one whose time is over has expired") {
  CHECK(refusal(cursor_of(sample, seal_of({"0123456789abcdef"}, 2))) == db_errc::cursor_foreign);
  const auto text = cursor_of(sample, seal, now + 10s);
  CHECK(decode_cursor(text, seal, now + 9'999ms, 6, most).has_value());
  CHECK(refusal(text, seal, now + 10s) == db_errc::cursor_expired);
  CHECK(refusal(text, seal, now + 70s).message() == "it ended 60 s ago");
}

TEST_CASE("cursor_codec.a value too long for a cursor is refused when the cursor is made") {
  const std::string name(800, 'x');
  const auto made = encode_cursor({false, {name}, {}}, seal, {}, most);
  CHECK(made.error() == db_errc::value_too_large);
  CHECK(made.error().message() == "the values of the sorted columns make a cursor of 1111 characters; at most 1024 are allowed (max_cursor_chars)");
  CHECK(encode_cursor({false, {name}, {}}, seal, {}, 1'111).value().size() == 1'111);
  CHECK(encode_cursor({false, {std::string_view{std::string(100'000, 'x')}}, {}}, seal, {}, 8'192).error() == db_errc::value_too_large);
}

TEST_CASE("cursor_codec.signed bytes that are no cursor are refused, whatever they are") {
  const auto seed = std::random_device{}();
  CAPTURE(seed);
  std::mt19937 random{seed};
  int taken{0};
  for (int round = 0; round < 20'000; ++round) {
    auto body = detail::base64url_decoded(cursor_of(sample)).value();
    body.resize(body.size() - 16);
    for (auto changes = random() % 4; changes > 0; --changes) {
      switch (const auto at = 3 + random() % (body.size() - 3); random() % 3) {
        case 0: body[at] = static_cast<char>(random()); break;
        case 1: body.erase(at, random() % 8); break;
        default: body.insert(at, random() % 8, static_cast<char>(random())); break;
      }
      body.resize(std::max<std::size_t>(body.size(), 4));
    }
    body[1] = static_cast<char>((body.size() + 16) >> 8U);
    body[2] = static_cast<char>((body.size() + 16) & 0xffU);
    const auto digest = detail::hmac_sha256(seal.keys[0], "spillway.cursor\n" + body);
    body.append(digest.begin(), digest.begin() + 16);
    const auto decoded = decode_cursor(detail::base64url_encoded(body), seal, now, 6, most);
    if (decoded) {
      ++taken;
      CHECK((*decoded)->values.size() == 6);
    } else {
      CHECK(decoded.error() == errc::invalid);
    }
  }
  CHECK(taken > 1'000);  // unchanged ones, and those changed into another value
}
