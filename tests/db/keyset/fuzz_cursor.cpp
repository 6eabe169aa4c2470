// SPDX-License-Identifier: Apache-2.0
// Cursors as strangers send them, and bytes that carry a genuine signature though no encoder made them.
//
// Under clang this is a libFuzzer target. Under other compilers it is a program that plays a fixed number of mutated cursors; then a crash is
// repeated by the same seed, and `db_fuzz_cursor FILE` plays one input.
#include "db/keyset/base64url.hpp"
#include "db/keyset/cursor_codec.hpp"
#include "db/keyset/signature.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <string_view>

using namespace spillway;

namespace {

constexpr std::size_t columns{3};
constexpr std::size_t most_chars{1'024};
constexpr wall_time_point now{std::chrono::hours{500'000}};
const detail::cursor_seal seal{{"the key of the fuzzer"}, {1, 2, 3, 4, 5, 6, 7, 8}};

void require(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "fuzz_cursor: %s\n", what);
  std::abort();
}

std::string bytes_of(const detail::cursor_place& place) {
  std::string bytes;
  detail::append_values(bytes, place.values);
  return bytes;
}

void decode(std::string_view text) {
  const auto place = detail::decode_cursor(text, seal, now, columns, most_chars);
  if (!place) {
    require(place.error() == errc::invalid, "a refusal is not the client's fault");
    require(place.error().message().size() < 200, "a refusal repeats what it was given");
    return;
  }
  require((*place)->values.size() == columns, "a place has too few values");
  if ((*place)->token.size() > detail::token_limit_bytes) return;
  const auto again = detail::encode_cursor(**place, seal, {}, most_chars);
  if (!again) return;  // numbers may have been written longer than need be
  const auto same = detail::decode_cursor(*again, seal, now, columns, most_chars);
  require(same.has_value() && bytes_of(**same) == bytes_of(**place) && (*same)->backward == (*place)->backward, "a place does not come back");
}

/// The body with the frame and the signature it would need.
std::string signed_cursor(std::string_view body) {
  const auto length = body.size() + 3 + 16;
  std::string bytes{'\x01', static_cast<char>(length >> 8U), static_cast<char>(length & 0xffU)};
  bytes += body;
  const auto digest = detail::hmac_sha256(seal.keys[0], "spillway.cursor\n" + bytes);
  bytes.append(digest.begin(), digest.begin() + 16);
  return detail::base64url_encoded(bytes);
}

/// The first byte says whether the rest is a cursor as it came, or the inside of a signed one.
void play(std::string_view input) {
  if (input.empty()) return;
  const bool raw = (static_cast<unsigned char>(input.front()) & 1U) == 0;
  input.remove_prefix(1);
  decode(raw ? std::string{input} : signed_cursor(input));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  play(std::string_view{static_cast<const char*>(static_cast<const void*>(data)), size});
  return 0;
}

#ifndef SPILLWAY_LIBFUZZER

namespace {

class mutator {
 public:
  explicit mutator(std::uint32_t seed) : random_{seed} {}

  std::string next() {
    const bool raw = below(2) == 0;
    auto text = sample();
    if (!raw) text = detail::base64url_decoded(text).value().substr(3);
    if (!raw) text.resize(text.size() - 16);
    for (auto changes = below(5); changes > 0; --changes) change(text);
    return (raw ? "\x02" : "\x01") + text;
  }

 private:
  std::size_t below(std::size_t bound) { return std::uniform_int_distribution<std::size_t>{0, bound - 1}(random_); }

  std::string sample() {
    const std::string name(below(40), 'n');
    const auto number = static_cast<std::int64_t>(random_());
    const detail::cursor_content content{below(2) == 0, {number, std::string_view{name}, nullptr}, below(2) == 0 ? "" : "token"};
    const auto ends = below(3) == 0 ? now + std::chrono::hours{1} : wall_time_point{};
    return detail::encode_cursor(content, seal, ends, most_chars).value();
  }

  void change(std::string& text) {
    if (text.empty()) text = "A";
    const auto at = below(text.size());
    switch (below(4)) {
      case 0: text[at] = static_cast<char>(below(256)); break;
      case 1: text.erase(at, below(6) + 1); break;
      case 2: text.insert(at, text.substr(below(text.size()), below(20))); break;
      default: text.insert(at, below(30), static_cast<char>(below(256))); break;
    }
  }

  std::mt19937 random_;
};

}  // namespace

int main(int argc, char** argv) {
  if (argc > 1 && std::string_view{argv[1]}.find_first_not_of("0123456789") != std::string_view::npos) {
    std::ifstream file{argv[1], std::ios::binary};
    play(std::string{std::istreambuf_iterator<char>{file}, {}});
    return 0;
  }
  const int rounds = argc > 1 ? std::atoi(argv[1]) : 50'000;
  mutator mutate{20260131};
  for (int i = 0; i < rounds; ++i) play(mutate.next());
  std::printf("%d cursors played\n", rounds);
}

#endif
