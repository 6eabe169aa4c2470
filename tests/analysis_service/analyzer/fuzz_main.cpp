// SPDX-License-Identifier: Apache-2.0
// Runs the fuzz target over random inputs where no fuzzing engine is at hand: fuzz_main [INPUTS [SEED]].
#include <array>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <string_view>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

int main(int argc, char** argv) {
  const unsigned long inputs = argc > 1 ? std::strtoul(argv[1], nullptr, 10) : 20'000;
  const unsigned long seed = argc > 2 ? std::strtoul(argv[2], nullptr, 10) : 1;
  std::printf("%lu inputs, seed %lu\n", inputs, seed);
  std::mt19937_64 random(seed);
  // Half of the bytes are those that open and close things.
  constexpr std::string_view marks = "\n\r \t\"'`/*\\#-[]=<>!?${}()@%;+|.:_";
  std::vector<std::uint8_t> input;
  for (unsigned long i = 0; i < inputs; ++i) {
    input.resize(2 + random() % 700);
    for (std::uint8_t& byte : input) {
      const std::uint64_t bits = random();
      byte = static_cast<std::uint8_t>((bits & 1U) != 0 ? static_cast<unsigned char>(marks[(bits >> 8U) % marks.size()]) : bits >> 16U);
    }
    input[0] = static_cast<std::uint8_t>(random());
    LLVMFuzzerTestOneInput(input.data(), input.size());
  }
  return 0;
}
