// SPDX-License-Identifier: Apache-2.0
// Analyses of real trees into a real database, one after another.
#include "analysis_service/analysis_run.hpp"
#include "analysis_service/project_root.hpp"
#include "analysis_service/store.hpp"

#include "support/temp_dir.hpp"
#include "test_engine.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <chrono>
#include <ctime>
#include <filesystem>
#include <map>
#include <variant>

#include <fcntl.h>
#include <sys/stat.h>

using namespace analysis;
namespace fs = std::filesystem;

namespace {

/// A tree below a temporary directory, with its store.
struct fixture {
  /// Writes a file with a change time in the past, so that it does not count as changed during an analysis.
  void write(const std::string& name, const std::string& content, long age_seconds = 60) {
    const auto path = dir.write("tree/" + name, content);
    const timespec old{::time(nullptr) - age_seconds, 0};
    const timespec times[2]{old, old};
    REQUIRE(::utimensat(AT_FDCWD, path.c_str(), times, 0) == 0);
  }

  analysis_record begin() {
    if (!project) project = records.add_project("tree", "tree", now).value();
    const auto analysis = records.add_analysis(project->id, now).value();
    REQUIRE(records.begin(analysis.id, now).value());
    return records.analysis(analysis.id).value().value();
  }

  run_report run(const analysis_record& analysis, std::stop_token stop = {}) {
    const project_root root{dir.path().string()};
    return run_analysis(records, analysis, std::move(root.open("tree")->fd), {2, max_file_bytes, 1'000, nullptr, {}}, spillway::system_clock_source(), stop);
  }

  run_report run_new() {
    last = begin();
    return run(last);
  }

  /// Returns when the coarse clock, which dates an analysis, has passed every stamp a file can have by now.
  static void next_tick() {
    timespec now{};
    timespec coarse{};
    ::clock_gettime(CLOCK_REALTIME, &now);
    do ::clock_gettime(CLOCK_REALTIME_COARSE, &coarse);
    while (std::pair{coarse.tv_sec, coarse.tv_nsec} <= std::pair{now.tv_sec, now.tv_nsec});
  }

  /// path -> "status code comment blank" of a snapshot.
  std::map<std::string, std::string> snapshot(const analysis_record& analysis) {
    file_query query;
    query.limit = 1000;
    std::map<std::string, std::string> files;
    for (const auto& file : records.files(analysis, query).value()) {
      files[file.path] = file.status + " " + std::to_string(file.code) + " " + std::to_string(file.comment) + " " + std::to_string(file.blank);
    }
    return files;
  }

  std::int64_t stored_versions() {
    return records.database().read([](spillway::read_session& s) { return s.query_one<std::int64_t>("SELECT count(*) FROM file").value().value(); }).value();
  }

  std::uint64_t max_file_bytes{1 << 20};
  spillway::tests::temp_dir dir;
  analysis::tests::test_engine engine;
  store records{engine.open(dir.path())};
  unix_ms now{std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::system_clock::now().time_since_epoch()).count()};
  std::optional<project_record> project;
  analysis_record last;
};

using files = std::map<std::string, std::string>;

}  // namespace

TEST_CASE("analysis_run.stores_what_it_found") {
  fixture f;
  f.write("a.cpp", "// one\nint x;\n\n#include <vector>\n");
  f.write("b/c.py", "# c\nimport os\n");
  const auto report = f.run_new();
  CHECK(report.summary.outcome == tree_outcome::completed);
  CHECK(report.summary.files_read == 2);
  CHECK(f.snapshot(f.last) == files{{"a.cpp", "analyzed 2 1 1"}, {"b/c.py", "analyzed 1 1 0"}});
  const auto stored = f.records.analysis(f.last.id).value().value();
  CHECK(stored.status == analysis_status::complete);
  CHECK(stored.result == to_json(report));
  file_query query;
  query.fields = {file_field::imports};
  const auto rows = f.records.files(f.last, query).value();
  CHECK(rows[0].imports == R"([{"kind":"angled_include","target":"vector","line":4}])");
  CHECK(rows[1].imports == R"([{"kind":"import","target":"os","line":2}])");
}

TEST_CASE("analysis_run.an_unchanged_tree_is_not_read_and_nothing_is_written") {
  fixture f;
  f.write("a.cpp", "int x;\n");
  f.write("b.bin", std::string("\0\0\0", 3));
  f.write("c.h", "int y;\n");
  f.run_new();
  CHECK(f.stored_versions() == 3);
  // They might have changed again in the very moment in which the first run began, so the second may read them, and finds the same.
  f.next_tick();
  const auto second = f.run_new();
  CHECK(f.stored_versions() == 3);
  const auto third = f.run_new();
  CHECK(third.summary.files_read == 0);
  CHECK(third.summary.bytes_read == 0);
  CHECK(third.summary.unchanged == 3);
  CHECK(third.summary.languages.size() == second.summary.languages.size());
  CHECK(f.stored_versions() == 3);
  CHECK(f.snapshot(f.last) == files{{"a.cpp", "analyzed 1 0 0"}, {"b.bin", "binary 0 0 0"}, {"c.h", "analyzed 1 0 0"}});
}

TEST_CASE("analysis_run.every_snapshot_keeps_the_tree_as_it_was") {
  fixture f;
  f.write("same.cpp", "int a;\n");
  f.write("changed.cpp", "int b;\n", 100);
  f.write("gone.cpp", "int c;\n");
  f.run_new();
  const auto first = f.last;
  f.write("changed.cpp", "int b;\nint c;\n", 50);
  fs::remove(f.dir.path() / "tree/gone.cpp");
  f.write("new.cpp", "int d;\n");
  f.run_new();
  const auto second = f.last;
  f.write("gone.cpp", "// back\n");
  f.run_new();
  CHECK(f.snapshot(first) == files{{"changed.cpp", "analyzed 1 0 0"}, {"gone.cpp", "analyzed 1 0 0"}, {"same.cpp", "analyzed 1 0 0"}});
  CHECK(f.snapshot(second) == files{{"changed.cpp", "analyzed 2 0 0"}, {"new.cpp", "analyzed 1 0 0"}, {"same.cpp", "analyzed 1 0 0"}});
  CHECK(f.snapshot(f.last) == files{{"changed.cpp", "analyzed 2 0 0"}, {"gone.cpp", "analyzed 0 1 0"}, {"new.cpp", "analyzed 1 0 0"}, {"same.cpp", "analyzed 1 0 0"}});
}

TEST_CASE("analysis_run.a_renamed_file_is_hashed_but_not_counted_again") {
  fixture f;
  f.write("old.cpp", "#include \"x.h\"\nint a;\n");
  f.run_new();
  fs::rename(f.dir.path() / "tree/old.cpp", f.dir.path() / "tree/new.cpp");
  const auto report = f.run_new();
  CHECK(report.summary.known_content == 1);
  file_query query;
  query.fields = {file_field::imports};
  const auto rows = f.records.files(f.last, query).value();
  REQUIRE(rows.size() == 1);
  CHECK(rows[0].path == "new.cpp");
  CHECK(rows[0].imports == R"([{"kind":"quoted_include","target":"x.h","line":1}])");
}

TEST_CASE("analysis_run.a_cut_list_of_imports_stays_marked_when_its_file_moves") {
  fixture f;
  std::string many;
  for (int i = 0; i < 1'100; ++i) many += "#include <h" + std::to_string(i) + ">\n";
  f.write("old.cpp", many);
  f.run_new();
  fs::rename(f.dir.path() / "tree/old.cpp", f.dir.path() / "tree/new.cpp");
  CHECK(f.run_new().summary.known_content == 1);
  const auto rows = f.records.files(f.last, {}).value();
  REQUIRE(rows.size() == 1);
  CHECK(rows[0].imports_truncated);
}

TEST_CASE("analysis_run.another_limit_is_applied_to_known_files") {
  fixture f;
  f.write("a.cpp", std::string(2'000, ' ') + "\nint x;\n");
  f.max_file_bytes = 1'024;
  f.run_new();
  CHECK(f.snapshot(f.last) == files{{"a.cpp", "too_large 0 0 0"}});
  fixture::next_tick();
  f.run_new();
  f.max_file_bytes = 1 << 20;
  f.run_new();
  CHECK(f.snapshot(f.last) == files{{"a.cpp", "analyzed 1 0 1"}});
  f.max_file_bytes = 1'024;
  f.run_new();
  CHECK(f.snapshot(f.last) == files{{"a.cpp", "too_large 0 0 0"}});
}

TEST_CASE("analysis_run.the_root_itself_can_be_analysed_again_and_again") {
  fixture f;
  f.write("a.cpp", "int x;\n");
  const project_root root{(f.dir.path() / "tree").string()};
  f.project = f.records.add_project("root", "", f.now).value();
  for (int i = 0; i < 3; ++i) {
    const auto analysis = f.begin();
    const auto report = run_analysis(f.records, analysis, std::move(root.open(".")->fd), {2, 1 << 20, 1'000, nullptr, {}},
                                     spillway::system_clock_source(), {});
    CHECK(report.summary.outcome == tree_outcome::completed);
    CHECK(f.snapshot(analysis).size() == 1);
  }
}

TEST_CASE("analysis_run.a_run_that_may_not_complete_shows_nothing") {
  fixture f;
  f.write("a.cpp", "int x;\n");
  const auto analysis = f.begin();
  const project_root root{f.dir.path().string()};
  const auto report = run_analysis(f.records, analysis, std::move(root.open("tree")->fd), {2, 1 << 20, 1'000, nullptr, [] { return false; }},
                                   spillway::system_clock_source(), {});
  CHECK(report.summary.outcome == tree_outcome::cancelled);
  CHECK(f.records.analysis(analysis.id).value()->status == analysis_status::running);
}

TEST_CASE("analysis_run.a_cancelled_run_leaves_the_snapshots_before_it_alone") {
  fixture f;
  f.write("a.cpp", "int x;\n");
  f.run_new();
  const auto first = f.last;
  f.write("b.cpp", "int y;\n");
  const auto second = f.begin();
  std::stop_source stop;
  stop.request_stop();
  CHECK(f.run(second, stop.get_token()).summary.outcome == tree_outcome::cancelled);
  CHECK(f.records.abandon(second.id, analysis_status::cancelled, {}, 9).value());
  CHECK(f.snapshot(first) == files{{"a.cpp", "analyzed 1 0 0"}});
  CHECK(f.stored_versions() == 1);
  f.run_new();
  CHECK(f.snapshot(f.last).size() == 2);
}

TEST_CASE("analysis_run.a_tree_beyond_the_limit_fails_and_says_so") {
  fixture f;
  for (int i = 0; i < 1100; ++i) f.dir.write("tree/" + std::to_string(i) + ".c", "");
  const auto report = f.run_new();
  CHECK(report.summary.outcome == tree_outcome::failed);
  CHECK(report.summary.message == "the tree has more than 1000 files, which is the configured limit");
  CHECK(f.records.analysis(f.last.id).value()->status == analysis_status::running);
}

TEST_CASE("store.half_an_analysis_is_dropped_when_it_is_taken_up_again") {
  fixture f;
  f.write("a.cpp", "int x;\n");
  const auto analysis = f.begin();
  file_row half;
  half.path = "half.cpp";
  half.status = "analyzed";
  f.records.add_files(analysis, std::vector{half}).value();
  CHECK(f.stored_versions() == 1);

  // The program dies here. The next one finds the analysis running.
  auto next = f.engine.open(f.dir.path());
  const auto left = next.recover(5).value();
  REQUIRE(left.size() == 1);
  CHECK(left[0].status == analysis_status::queued);
  REQUIRE(next.begin(left[0].id, f.now).value());
  CHECK(f.stored_versions() == 0);
  // The dead one's last words come too late.
  const auto late = f.records.add_files(analysis, std::vector{half});
  REQUIRE(late.has_error());
  CHECK(late.error() == spillway::db_errc::constraint_violation);
  f.run(next.analysis(analysis.id).value().value());
  CHECK(f.snapshot(analysis) == files{{"a.cpp", "analyzed 1 0 0"}});
}

TEST_CASE("store.an_analysis_that_dies_three_times_is_failed") {
  fixture f;
  const auto analysis = f.begin();
  for (int attempt = 2; attempt <= 3; ++attempt) {
    REQUIRE(f.records.recover(5).value().size() == 1);
    REQUIRE(f.records.begin(analysis.id, f.now).value());
  }
  CHECK(f.records.recover(7).value().empty());
  const auto ended = f.records.analysis(analysis.id).value().value();
  CHECK(ended.status == analysis_status::failed);
  CHECK(ended.error == "the server stopped during each of 3 attempts");
  CHECK(f.records.add_analysis(f.project->id, 8).has_value());
}

TEST_CASE("store.a_graceful_stop_costs_no_attempt") {
  fixture f;
  const auto analysis = f.begin();
  for (int stop = 0; stop < 5; ++stop) {
    f.records.pause(analysis.id).value();
    REQUIRE(f.records.recover(5).value().size() == 1);
    REQUIRE(f.records.begin(analysis.id, f.now).value());
  }
  CHECK(f.records.analysis(analysis.id).value()->attempts == 1);
}

TEST_CASE("store.a_project_has_one_active_analysis") {
  fixture f;
  (void)f.begin();
  const auto second = f.records.add_analysis(f.project->id, 4);
  REQUIRE(second.has_error());
  CHECK(second.error() == spillway::db_errc::unique_violation);
}

TEST_CASE("store.pages_of_files_follow_each_other_without_gap_or_repeat") {
  fixture f;
  for (int i = 0; i < 57; ++i) {
    std::string content;
    for (int line = 0; line < i % 7; ++line) content += "int x;\n";
    f.write("f" + std::to_string(i) + (i % 3 == 0 ? ".py" : ".cpp"), content);
  }
  f.run_new();
  for (const bool descending : {false, true}) {
    for (const auto field : {file_field::path, file_field::code, file_field::language}) {
      file_query query;
      query.sort = field;
      query.descending = descending;
      query.limit = 10;
      std::vector<std::pair<std::variant<std::int64_t, std::string>, std::string>> seen;
      for (int page = 0; page < 10; ++page) {
        auto rows = f.records.files(f.last, query).value();
        const bool more = rows.size() > 10;
        if (more) rows.resize(10);
        for (const auto& row : rows) {
          if (field == file_field::code) seen.emplace_back(row.code, row.path);
          else seen.emplace_back(field == file_field::language ? row.language : row.path, row.path);
        }
        if (!more) break;
        query.after_row = rows.back().id;
      }
      CHECK(seen.size() == 57);
      CHECK(std::ranges::adjacent_find(seen, [&](const auto& a, const auto& b) { return descending ? !(b < a) : !(a < b); }) == seen.end());
    }
  }
}
