// SPDX-License-Identifier: Apache-2.0
/// @file
/// Analyzes one tree and prints what it found as JSON: bench_analyze PATH [THREADS].
#include "analyzer/text_encoding.hpp"
#include "analyzer/tree_analysis.hpp"

#include <sys/resource.h>

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>

int main(int argc, char** argv) {
  if (argc < 2 || argc > 3) {
    std::fprintf(stderr, "usage: %s PATH [THREADS]\n", argv[0]);
    return 2;
  }
  analysis::tree_options options;
  if (argc == 3) options.threads = std::strtoul(argv[2], nullptr, 10);
  std::uint64_t imports = 0;
  std::uint64_t hashed = 0;
  const auto started = std::chrono::steady_clock::now();
  const analysis::tree_summary summary = analysis::analyze_tree(argv[1], options, [&](std::span<analysis::file_analysis> files) {
    for (const analysis::file_analysis& file : files) {
      imports += file.imports.size();
      if (file.blob) ++hashed;
    }
  });
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - started;
  if (summary.outcome != analysis::tree_outcome::completed) {
    std::fprintf(stderr, "%s\n", analysis::displayable(summary.message).c_str());
    return 1;
  }
  struct rusage usage {};
  getrusage(RUSAGE_SELF, &usage);
  std::printf("{\"seconds\":%.6f,\"peak_rss_kib\":%ld,\"files\":%ju,\"files_read\":%ju,\"bytes_read\":%ju,\"hashed\":%ju,\"imports\":%ju,\"languages\":[",
              seconds.count(), usage.ru_maxrss, static_cast<std::uintmax_t>(summary.files),
              static_cast<std::uintmax_t>(summary.files_read), static_cast<std::uintmax_t>(summary.bytes_read),
              static_cast<std::uintmax_t>(hashed), static_cast<std::uintmax_t>(imports));
  const char* separator = "";
  for (const analysis::language_total& total : summary.languages) {
    std::printf("%s\n{\"language\":\"%s\",\"files\":%ju,\"blank\":%ju,\"comment\":%ju,\"code\":%ju}", separator,
                std::string(name_of(total.id)).c_str(), static_cast<std::uintmax_t>(total.files),
                static_cast<std::uintmax_t>(total.blank), static_cast<std::uintmax_t>(total.comment),
                static_cast<std::uintmax_t>(total.code));
    separator = ",";
  }
  std::printf("\n]}\n");
  return 0;
}
