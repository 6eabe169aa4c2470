// SPDX-License-Identifier: Apache-2.0
#include "analyzer/file_analysis.hpp"

#include "analyzer/file_descriptor.hpp"
#include "counting.hpp"
#include "support/temp_dir.hpp"

#include <doctest/doctest.h>

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <functional>
#include <string>
#include <thread>
#include <vector>

using namespace analysis;
using spillway::tests::temp_dir;

namespace {

struct fixture {
  temp_dir dir;
  std::atomic<std::uint64_t> bytes_read{0};

  [[nodiscard]] file_descriptor open(const std::string& path) const {
    return file_descriptor(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  }

  file_analysis analyze(const std::string& name, const file_options& options = {}) {
    file_analyzer analyzer(options);
    const file_descriptor directory = open(dir.path().string());
    bytes_read = 0;
    const auto result = analyzer.analyze(directory.get(), name.c_str(), name, {}, bytes_read);
    REQUIRE(result.has_value());
    return *result;
  }
};

std::string lines_of(std::size_t bytes) {
  const std::string line = "int a; // 0123456789 0123456789 0123456789 0123456789 0123456789\n";
  std::string text;
  text.reserve(bytes + line.size());
  while (text.size() < bytes) text += line;
  return text;
}

}  // namespace

TEST_CASE_FIXTURE(fixture, "file_analyzer.tells_everything_about_a_source_file") {
  const std::string text = "#include <a>\n\n// b\nint c;\n";
  dir.write("a.cpp", text);
  const file_analysis result = analyze("a.cpp");
  CHECK(result.status == file_status::analyzed);
  CHECK(result.reason.empty());
  CHECK(result.path == "a.cpp");
  CHECK(result.id == language::cpp);
  CHECK(result.origin == file_origin::read);
  CHECK(result.was_opened);
  CHECK(result.identity.size == text.size());
  CHECK(result.identity.mtime_ns > 0);
  CHECK(result.counts == line_counts{2, 1, 1, 12, 1});
  CHECK(result.imports == std::vector<import_edge>{{edge_kind::angled_include, 1, "a"}});
  REQUIRE(result.blob.has_value());
  blob_hasher hasher;
  hasher.start(text.size());
  hasher.update(text);
  CHECK(*result.blob == hasher.finish());
  CHECK(bytes_read == text.size());
}

TEST_CASE_FIXTURE(fixture, "file_analyzer.reads_files_of_sizes_around_the_chunk") {
  for (const std::size_t size :
       {std::size_t{0}, std::size_t{1}, chunk_bytes - 1, chunk_bytes, chunk_bytes + 1, 2 * chunk_bytes, 3 * chunk_bytes + 17}) {
    std::string text = lines_of(size).substr(0, size);
    dir.write("a.cpp", text);
    const file_analysis result = analyze("a.cpp", {.counting = counting_rule::by_syntax});
    CAPTURE(size);
    CHECK(result.status == file_status::analyzed);
    CHECK_FALSE(result.changed_while_reading);
    CHECK(result.counts == tests::count(language::cpp, text));
    CHECK(bytes_read == size);
    blob_hasher hasher;
    hasher.start(size);
    hasher.update(text);
    REQUIRE(result.blob.has_value());
    CHECK(*result.blob == hasher.finish());
  }
}

TEST_CASE_FIXTURE(fixture, "file_analyzer.counts_by_the_rule_asked_for") {
  dir.write("a.js", "a = '/*';\nb();\nc = '*/';\n");
  CHECK(analyze("a.js", {.counting = counting_rule::by_syntax}).counts.code == 3);
  const line_counts like_cloc = analyze("a.js", {.counting = counting_rule::like_cloc}).counts;
  CHECK(like_cloc.code == 1);
  CHECK(like_cloc.comment == 2);
  CHECK(like_cloc.longest_line_bytes == 9);
}

TEST_CASE_FIXTURE(fixture, "file_analyzer.takes_a_nul_near_the_start_for_binary_as_git_does") {
  dir.write("a.c", std::string(7999, 'a') + '\0');
  CHECK(analyze("a.c").status == file_status::binary);
  CHECK_FALSE(analyze("a.c").blob.has_value());
  dir.write("b.c", std::string(8000, 'a') + '\0');
  CHECK(analyze("b.c").status == file_status::analyzed);
}

TEST_CASE_FIXTURE(fixture, "file_analyzer.counts_text_that_is_not_utf8_and_says_so") {
  dir.write("a.c", "int a; // \xE9\n/* b */\n");
  const file_analysis result = analyze("a.c");
  CHECK(result.status == file_status::not_utf8);
  CHECK_FALSE(result.reason.empty());
  CHECK(result.counts.code == 1);
  CHECK(result.counts.comment == 1);
  CHECK(result.blob.has_value());
}

TEST_CASE_FIXTURE(fixture, "file_analyzer.does_not_read_a_file_above_the_limit") {
  dir.write("a.c", "int a;\n");
  const file_analysis result = analyze("a.c", {.max_file_bytes = 6});
  CHECK(result.status == file_status::too_large);
  CHECK(result.reason == "7 bytes, the limit is 6");
  CHECK(bytes_read == 0);
  CHECK(analyze("a.c", {.max_file_bytes = 7}).status == file_status::analyzed);
}

TEST_CASE_FIXTURE(fixture, "file_analyzer.tells_a_language_by_the_first_line") {
  dir.write("run", "#!/bin/sh\necho\n");
  CHECK(analyze("run").id == language::shell);
  CHECK(analyze("run").counts.code == 2);
  dir.write("notes", "hello\n");
  CHECK(analyze("notes").status == file_status::unknown_language);
  dir.write("README", "#!/bin/sh\n");
  CHECK(analyze("README").status == file_status::unknown_language);
  CHECK_FALSE(analyze("README").was_opened);
}

TEST_CASE_FIXTURE(fixture, "file_analyzer.never_follows_a_symlink") {
  dir.write("a.c", "int a;\n");
  std::filesystem::create_symlink("a.c", dir.path() / "b.c");
  std::filesystem::create_symlink("/etc/passwd", dir.path() / "c.c");
  CHECK(analyze("b.c").status == file_status::symlink);
  CHECK(analyze("c.c").status == file_status::symlink);
  CHECK(bytes_read == 0);
}

TEST_CASE_FIXTURE(fixture, "file_analyzer.refuses_what_is_no_regular_file_without_blocking") {
  REQUIRE(::mkfifo((dir.path() / "a.c").c_str(), 0600) == 0);
  CHECK(analyze("a.c").status == file_status::not_regular);
  std::filesystem::create_directory(dir.path() / "b.c");
  CHECK(analyze("b.c").status == file_status::not_regular);
}

TEST_CASE_FIXTURE(fixture, "file_analyzer.reports_a_missing_file") {
  const file_analysis result = analyze("a.c");
  CHECK(result.status == file_status::unreadable);
  CHECK(result.reason == "No such file or directory");
}

TEST_CASE_FIXTURE(fixture, "file_analyzer.reports_a_file_that_cannot_be_read") {
  // Reading one's own memory at address zero fails for everybody, root included.
  file_analyzer analyzer(file_options{});
  const file_descriptor directory = open("/proc/self");
  const auto result = analyzer.analyze(directory.get(), "mem", "mem", {}, bytes_read);
  REQUIRE(result.has_value());
  CHECK(result->status == file_status::unreadable);
  CHECK(result->reason == "Input/output error");
}

TEST_CASE_FIXTURE(fixture, "file_analyzer.reports_a_file_that_may_not_be_opened") {
  const std::string file = dir.write("a.c", "int a;\n");
  REQUIRE(::chmod(file.c_str(), 0) == 0);
  REQUIRE(::chmod(dir.path().c_str(), 0755) == 0);
  file_analysis result;
  // Root may open anything, so one thread gives up being root; the others keep their rights.
  std::thread([&] {
    if (::geteuid() == 0) ::syscall(SYS_setresuid, 65534, 65534, 65534);
    file_analyzer analyzer(file_options{});
    const file_descriptor directory = open(dir.path().string());
    if (auto analyzed = analyzer.analyze(directory.get(), "a.c", "a.c", {}, bytes_read)) result = *analyzed;
  }).join();
  CHECK(result.status == file_status::unreadable);
  CHECK(result.reason == "Permission denied");
}

TEST_CASE_FIXTURE(fixture, "file_analyzer.does_not_count_again_what_is_known_by_its_content") {
  dir.write("a.c", "int a;\n");
  const file_analysis counted = analyze("a.c");
  dir.write("b.c", "int a;\n");
  file_analysis earlier = counted;
  earlier.counts.code = 77;  // To see where the numbers come from.
  std::vector<language> asked;
  file_options options;
  options.known_content = [&](const blob_id& id, language of) -> std::optional<file_analysis> {
    asked.push_back(of);
    if (id != *counted.blob) return std::nullopt;
    return earlier;
  };
  const file_analysis known = analyze("b.c", options);
  CHECK(known.origin == file_origin::known_content);
  CHECK(known.path == "b.c");
  CHECK(known.counts.code == 77);
  CHECK(known.blob == counted.blob);
  dir.write("b.c", "int b;\n");
  const file_analysis unknown = analyze("b.c", options);
  CHECK(unknown.origin == file_origin::read);
  CHECK(unknown.counts.code == 1);
  CHECK(unknown.blob.has_value());
  CHECK(unknown.blob != counted.blob);
  CHECK(asked == std::vector<language>{language::c, language::c});
}

TEST_CASE_FIXTURE(fixture, "file_analyzer.stops_between_chunks") {
  dir.write("a.c", lines_of(16 * chunk_bytes));
  file_analyzer analyzer(file_options{});
  const file_descriptor directory = open(dir.path().string());
  std::stop_source stop;
  std::atomic<bool> done{false};
  const std::jthread watcher([&] {
    while (bytes_read == 0 && !done) std::this_thread::yield();
    stop.request_stop();
  });
  // The watcher may be late on a busy machine: then the whole file is read, and the next round decides.
  bool stopped = false;
  for (int round = 0; round < 1000 && !stopped; ++round) {
    stopped = !analyzer.analyze(directory.get(), "a.c", "a.c", stop.get_token(), bytes_read).has_value();
  }
  done = true;
  CHECK(stopped);
}

TEST_CASE_FIXTURE(fixture, "file_analyzer.notices_a_file_that_changes_its_size") {
  const std::string text = lines_of(256 * chunk_bytes);
  for (const bool grows : {true, false}) {
    CAPTURE(grows);
    bool noticed = false;
    // The change has to hit the time of reading; where it comes too late the round is repeated.
    for (int round = 0; round < 100 && !noticed; ++round) {
      const std::string file = dir.write("a.c", text);
      bytes_read = 0;
      std::atomic<bool> done{false};
      std::jthread writer([&] {
        while (bytes_read == 0 && !done) std::this_thread::yield();
        if (grows) {
          std::ofstream(file, std::ios::app) << "int b;\n";
        } else {
          std::filesystem::resize_file(file, text.size() - chunk_bytes);
        }
      });
      file_analyzer analyzer(file_options{});
      const file_descriptor directory = open(dir.path().string());
      const auto result = analyzer.analyze(directory.get(), "a.c", "a.c", {}, bytes_read);
      done = true;
      writer.join();
      REQUIRE(result.has_value());
      CHECK(result->status == file_status::analyzed);
      CHECK(result->blob.has_value() != result->changed_while_reading);
      CHECK(result->identity.size == text.size());
      if (!result->changed_while_reading) continue;
      noticed = true;
      // No more was read than the file had at first, but for the byte that gives the growth away.
      CHECK(bytes_read <= text.size() + 1);
    }
    CHECK(noticed);
  }
}

TEST_CASE_FIXTURE(fixture, "file_analyzer.handles_a_long_line_without_a_line_feed") {
  dir.write("a.c", std::string(5'000'000, 'x'));
  const file_analysis result = analyze("a.c");
  CHECK(result.counts == line_counts{1, 0, 0, 5'000'000, 1});
}
