// SPDX-License-Identifier: Apache-2.0
// Tokens come back from strangers: any text is either exactly what to_string writes, or refused with a message of bounded size.
//
// Under clang this is a libFuzzer target. Under other compilers it is a program that plays a fixed number of mutated tokens.
#include <spillway/db/consistency_token.hpp>

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <string>
#include <string_view>

using namespace spillway;

namespace {

void require(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "fuzz_consistency_token: %s\n", what);
  std::abort();
}

bool play(std::string_view text) {
  const auto token = consistency_token::parse(text);
  if (!token) {
    require(token.error() == db_errc::invalid_token, "another error than invalid_token");
    require(!token.error().message().empty() && token.error().message().size() < 200, "a message of odd size");
    return false;
  }
  require(token->to_string() == text, "two texts for one token");
  require(token->empty() == text.empty(), "an empty token with a text");
  auto merged = *token;
  require(merged.merge(*token).has_value() && merged == *token, "merging with itself changed it");
  require(token->covers(*token), "does not cover itself");
  return true;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  play(std::string_view{static_cast<const char*>(static_cast<const void*>(data)), size});
  return 0;
}

#ifndef SPILLWAY_LIBFUZZER

int main(int argc, char** argv) {
  const int rounds = argc > 1 ? std::atoi(argv[1]) : 200'000;
  std::mt19937_64 random{20260131};
  int mutated_and_taken{0};
  for (int i = 0; i < rounds; ++i) {
    const consistency_token token{1 + (random() >> (random() % 63)), static_cast<std::uint32_t>(1 + (random() >> (33 + random() % 31))),
                                  1 + (random() >> (random() % 63)), random() % 2 == 0};
    const auto whole = token.to_string();
    require(play(whole), "refused what to_string wrote");
    auto text = whole;
    for (auto changes = 1 + random() % 3; changes > 0 && !text.empty(); --changes) {
      const auto place = random() % text.size();
      switch (random() % 5) {
        case 0: text[place] = static_cast<char>(random()); break;
        case 1: text[place] = "0123456789abcdef-p"[random() % 18]; break;
        case 2: text.erase(place, 1 + random() % 4); break;
        case 3: text.insert(place, 1 + random() % 3, "0123456789abcdef-p"[random() % 18]); break;
        case 4: std::swap(text[place], text[random() % text.size()]); break;
      }
    }
    if (text != whole && !text.empty() && play(text)) ++mutated_and_taken;
  }
  std::printf("%d tokens played, %d taken although mutated\n", rounds, mutated_and_taken);
  require(mutated_and_taken <= 1, "the check lets mutations pass");  // one in four billion would be chance
}

#endif
