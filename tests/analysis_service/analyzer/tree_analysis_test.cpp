// SPDX-License-Identifier: Apache-2.0
#include "analyzer/tree_analysis.hpp"

#include "counting.hpp"
#include "support/temp_dir.hpp"

#include <doctest/doctest.h>

#include <sys/stat.h>

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <fstream>
#include <limits>
#include <map>
#include <new>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

using namespace analysis;
using spillway::tests::temp_dir;

namespace {

using results = std::map<std::string, file_analysis>;

result_sink into(results& all) {
  return [&all](std::span<file_analysis> files) {
    for (file_analysis& file : files) {
      const std::string path = file.path;
      CHECK(all.emplace(path, std::move(file)).second);
    }
  };
}

known_file_lookup known_from(const results& all) {
  return [&all](std::string_view path, const file_identity& identity) -> std::optional<file_analysis> {
    const auto at = all.find(std::string(path));
    if (at == all.end() || at->second.identity != identity) return std::nullopt;
    return at->second;
  };
}

void make_tree(const temp_dir& dir, int files) {
  for (int i = 0; i < files; ++i) {
    const std::string number = std::to_string(i);
    std::string path = "d/f.c";
    path.insert(3, number).insert(1, number.substr(number.size() - 1));
    std::string text = "#include <a>\n// b\n\nint c;\n";
    dir.write(path, text.insert(text.size() - 2, number));
  }
}

/// Many files, soon made: one under many names.
void make_many(const temp_dir& dir, int files) {
  const std::string first = dir.write("first.c", "int a;\n");
  for (int i = 1; i < files; ++i) std::filesystem::create_hard_link(first, dir.path() / (std::to_string(i) + ".c"));
}

constexpr std::int64_t long_after = std::numeric_limits<std::int64_t>::max();

std::uint64_t status_count(const tree_summary& summary, file_status status) {
  return summary.files_by_status[static_cast<std::size_t>(status)];
}

}  // namespace

TEST_CASE("analyze_tree.gives_every_file_and_the_totals") {
  const temp_dir dir;
  make_tree(dir, 300);
  dir.write("a.py", "# b\nc = 1\n");
  dir.write("notes.unheard", "hello\n");
  dir.write("b.c", std::string("a\0", 2));
  std::filesystem::create_symlink("a.py", dir.path() / "link.py");
  for (const std::size_t threads : {1U, 2U, 5U}) {
    results all;
    analysis_progress progress;
    tree_options options;
    options.threads = threads;
    options.progress = &progress;
    const tree_summary summary = analyze_tree(dir.path().string(), options, into(all));
    CHECK(summary.outcome == tree_outcome::completed);
    CHECK(summary.message.empty());
    CHECK(summary.files == 304);
    CHECK(all.size() == 304);
    CHECK(status_count(summary, file_status::analyzed) == 301);
    CHECK(status_count(summary, file_status::binary) == 1);
    CHECK(status_count(summary, file_status::unknown_language) == 1);
    CHECK(status_count(summary, file_status::symlink) == 1);
    REQUIRE(summary.languages.size() == 2);
    CHECK(summary.languages[0].id == language::c);
    CHECK(summary.languages[0].files == 300);
    CHECK(summary.languages[0].code == 600);
    CHECK(summary.languages[0].comment == 300);
    CHECK(summary.languages[0].blank == 300);
    CHECK(summary.languages[1].id == language::python);
    CHECK(summary.languages[1].bytes == 10);
    CHECK(summary.files_read == 303);
    CHECK(progress.files_found == 303);
    CHECK(progress.files_done == 303);
    CHECK(progress.files_read == 303);
    CHECK(progress.files_skipped == 3);
    CHECK(progress.bytes_read == summary.bytes_read);
    CHECK(all.at("d7/f17.c").counts.code == 2);
  }
}

TEST_CASE("analyze_tree.opens_no_file_of_an_unchanged_tree") {
  const temp_dir dir;
  make_tree(dir, 200);
  dir.write("notes.unheard", "hello\n");
  dir.write("b.c", std::string("a\0", 2));
  results first;
  const tree_summary earlier = analyze_tree(dir.path().string(), {}, into(first));
  CHECK(earlier.files_read == 202);

  results second;
  tree_options options;
  options.known_file = known_from(first);
  options.earlier_started_at_ns = long_after;
  const tree_summary summary = analyze_tree(dir.path().string(), options, into(second));
  CHECK(summary.outcome == tree_outcome::completed);
  CHECK(summary.files_read == 0);
  CHECK(summary.bytes_read == 0);
  CHECK(summary.unchanged == 202);
  CHECK(second.size() == first.size());
  CHECK(second.at("d3/f13.c").origin == file_origin::unchanged);
  CHECK(second.at("d3/f13.c").counts == first.at("d3/f13.c").counts);
  REQUIRE(summary.languages.size() == 1);
  CHECK(summary.languages[0].code == earlier.languages[0].code);
}

TEST_CASE("analyze_tree.reads_what_changed_and_what_is_new") {
  const temp_dir dir;
  make_tree(dir, 50);
  results first;
  static_cast<void>(analyze_tree(dir.path().string(), {}, into(first)));
  dir.write("d1/f11.c", "int other;\n");
  dir.write("d1/new.c", "int a;\n");
  std::filesystem::remove(dir.path() / "d2/f12.c");
  // The same bytes in another file: its inode tells.
  dir.write("copy", "#include <a>\n// b\n\nint c13;\n");
  std::filesystem::last_write_time(dir.path() / "copy", std::filesystem::last_write_time(dir.path() / "d3/f13.c"));
  std::filesystem::rename(dir.path() / "copy", dir.path() / "d3/f13.c");

  results second;
  tree_options options;
  options.known_file = known_from(first);
  options.earlier_started_at_ns = long_after;
  const tree_summary summary = analyze_tree(dir.path().string(), options, into(second));
  CHECK(summary.files == 50);
  CHECK(summary.files_read == 3);
  CHECK(second.at("d1/f11.c").origin == file_origin::read);
  CHECK(second.at("d1/f11.c").counts.code == 1);
  CHECK(second.at("d1/new.c").origin == file_origin::read);
  CHECK(second.at("d3/f13.c").origin == file_origin::read);
  CHECK(second.count("d2/f12.c") == 0);
}

TEST_CASE("analyze_tree.reads_again_what_changed_as_late_as_the_earlier_run_started") {
  const temp_dir dir;
  dir.write("a.c", "int a;\n");
  results first;
  static_cast<void>(analyze_tree(dir.path().string(), {}, into(first)));
  const file_identity identity = first.at("a.c").identity;
  const std::int64_t changed_at = std::max(identity.mtime_ns, identity.ctime_ns);
  const auto files_read = [&](std::int64_t earlier_started_at_ns) {
    tree_options options;
    options.known_file = known_from(first);
    options.earlier_started_at_ns = earlier_started_at_ns;
    return analyze_tree(dir.path().string(), options, {}).files_read;
  };
  CHECK(files_read(changed_at - 1) == 1);
  CHECK(files_read(changed_at) == 1);
  CHECK(files_read(changed_at + 2'000'000'001) == 0);
}

TEST_CASE("analyze_tree.does_not_miss_a_change_within_a_tick_of_the_clock") {
  // Same size, same inode, and the modification time set back: only the time of the change can tell.
  const temp_dir dir;
  const std::string file = dir.write("a.c", "int a;\n");
  for (int round = 0; round < 20; ++round) {
    results first;
    const tree_summary earlier = analyze_tree(dir.path().string(), {}, into(first));
    const auto modified = std::filesystem::last_write_time(file);
    {
      std::fstream out(file, std::ios::in | std::ios::out | std::ios::binary);
      out << (round % 2 == 0 ? "// a b;" : "int a;\n");
    }
    std::filesystem::last_write_time(file, modified);
    results second;
    tree_options options;
    options.known_file = known_from(first);
    options.earlier_started_at_ns = earlier.started_at_ns;
    static_cast<void>(analyze_tree(dir.path().string(), options, into(second)));
    CHECK(second.at("a.c").counts.comment == (round % 2 == 0 ? 1 : 0));
  }
}

TEST_CASE("analyze_tree.does_not_trust_an_earlier_result_of_another_identity") {
  const temp_dir dir;
  dir.write("a.c", "int a;\n");
  tree_options options;
  options.earlier_started_at_ns = long_after;
  options.known_file = [](std::string_view, const file_identity& identity) {
    file_analysis wrong;
    wrong.identity = identity;
    ++wrong.identity.size;
    return wrong;
  };
  CHECK(analyze_tree(dir.path().string(), options, {}).files_read == 1);
  options.known_file = [](std::string_view, const file_identity& identity) {
    file_analysis unsure;
    unsure.identity = identity;
    unsure.changed_while_reading = true;
    return unsure;
  };
  CHECK(analyze_tree(dir.path().string(), options, {}).files_read == 1);
}

TEST_CASE("analyze_tree.counts_known_content_only_once") {
  const temp_dir dir;
  dir.write("a.c", "int a;\n");
  results first;
  static_cast<void>(analyze_tree(dir.path().string(), {}, into(first)));
  dir.write("b.c", "int a;\n");
  tree_options options;
  options.file.known_content = [&](const blob_id& id, language of) -> std::optional<file_analysis> {
    const file_analysis& known = first.at("a.c");
    if (known.blob != id || known.id != of) return std::nullopt;
    return known;
  };
  const tree_summary summary = analyze_tree(dir.path().string(), options, {});
  CHECK(summary.files_read == 2);
  CHECK(summary.known_content == 2);
}

TEST_CASE("analyze_tree.can_be_cancelled_while_it_runs") {
  const temp_dir dir;
  make_many(dir, 2000);
  std::stop_source stop;
  std::uint64_t seen = 0;
  const tree_summary summary = analyze_tree(
      dir.path().string(), {},
      [&](std::span<file_analysis> files) {
        seen += files.size();
        stop.request_stop();
      },
      stop.get_token());
  CHECK(summary.outcome == tree_outcome::cancelled);
  CHECK(summary.files == seen);
  CHECK(seen < 2000);
}

TEST_CASE("analyze_tree.does_nothing_when_cancelled_before") {
  const temp_dir dir;
  make_tree(dir, 10);
  std::stop_source stop;
  stop.request_stop();
  bool called = false;
  const tree_summary summary = analyze_tree(dir.path().string(), {}, [&](std::span<file_analysis>) { called = true; }, stop.get_token());
  CHECK(summary.outcome == tree_outcome::cancelled);
  CHECK_FALSE(called);
}

TEST_CASE("analyze_tree.can_be_cancelled_from_another_thread_inside_a_large_file") {
  const temp_dir dir;
  {
    // Sparse would be binary; one line feed in each 64 KiB keeps the disk small enough and the text honest.
    std::ofstream out(dir.path() / "a.c", std::ios::binary);
    const std::string block = std::string(chunk_bytes - 1, 'x') + '\n';
    for (int i = 0; i < 1024; ++i) out << block;
  }
  std::stop_source stop;
  analysis_progress progress;
  tree_options options;
  options.progress = &progress;
  std::atomic<bool> done{false};
  tree_summary summary;
  {
    const std::jthread watcher([&] {
      while (progress.bytes_read == 0 && !done) std::this_thread::yield();
      stop.request_stop();
    });
    // Read over and over until the stop request falls into the reading.
    do {
      summary = analyze_tree(dir.path().string(), options, {}, stop.get_token());
    } while (summary.outcome == tree_outcome::completed);
    done = true;
  }
  CHECK(summary.outcome == tree_outcome::cancelled);
  CHECK(progress.bytes_read < std::uint64_t{1024} * chunk_bytes);
}

TEST_CASE("analyze_tree.contains_an_exception_of_the_sink") {
  const temp_dir dir;
  make_many(dir, 2000);
  int calls = 0;
  const tree_summary summary = analyze_tree(dir.path().string(), {}, [&](std::span<file_analysis>) {
    if (++calls == 2) throw std::runtime_error("disk full");
  });
  CHECK(summary.outcome == tree_outcome::failed);
  CHECK(summary.message == "disk full");
  CHECK(calls == 2);
  const tree_summary strange = analyze_tree(dir.path().string(), {}, [](std::span<file_analysis>) { throw 1; });
  CHECK(strange.outcome == tree_outcome::failed);
  CHECK(strange.message == "unknown exception");
}

TEST_CASE("analyze_tree.contains_an_exception_of_a_lookup") {
  const temp_dir dir;
  make_many(dir, 500);
  tree_options options;
  options.earlier_started_at_ns = long_after;
  options.known_file = [](std::string_view, const file_identity&) -> std::optional<file_analysis> { throw std::bad_alloc(); };
  const tree_summary summary = analyze_tree(dir.path().string(), options, {});
  CHECK(summary.outcome == tree_outcome::failed);
  CHECK(summary.message == "std::bad_alloc");
}

TEST_CASE("analyze_tree.fails_when_the_root_cannot_be_opened") {
  const temp_dir dir;
  const std::string file = dir.write("a.c", "");
  const tree_summary missing = analyze_tree((dir.path() / "none").string(), {}, {});
  CHECK(missing.outcome == tree_outcome::failed);
  CHECK(missing.message.find("No such file or directory") != std::string::npos);
  CHECK(analyze_tree(file, {}, {}).message.find("Not a directory") != std::string::npos);
}

TEST_CASE("analyze_tree.says_when_the_file_limit_cut_it_short") {
  const temp_dir dir;
  make_tree(dir, 100);
  tree_options options;
  options.walk.max_files = 60;
  const tree_summary summary = analyze_tree(dir.path().string(), options, {});
  CHECK(summary.outcome == tree_outcome::completed);
  CHECK(summary.file_limit_reached);
  CHECK(summary.files == 60);
}

TEST_CASE("analyze_tree.holds_a_bounded_number_of_results_for_a_slow_sink") {
  const temp_dir dir;
  make_many(dir, 4000);
  analysis_progress progress;
  tree_options options;
  options.threads = 2;
  options.progress = &progress;
  std::uint64_t delivered = 0;
  std::uint64_t most_waiting = 0;
  int calls = 0;
  const tree_summary summary = analyze_tree(dir.path().string(), options, [&](std::span<file_analysis> files) {
    delivered += files.size();
    // At first the workers get time to fill every queue: until they have done nothing for a while.
    if (++calls > 3) return;
    for (int idle = 0; idle < 30; ++idle) {
      const std::uint64_t done = progress.files_done;
      std::this_thread::yield();
      if (progress.files_done != done) idle = 0;
    }
    most_waiting = std::max(most_waiting, progress.files_done - delivered);
  });
  CHECK(summary.files == 4000);
  // Eight batches of 128 in the queue, one more in the hands of each worker, one growing in each.
  CHECK(most_waiting <= (8 + 2 + 2) * 128);
}

TEST_CASE("analyze_tree.reports_hostile_entries_and_goes_on") {
  const temp_dir dir;
  dir.write("a.c", "int a;\n");
  dir.write("\xFF\n.c", "int b;\n");
  std::filesystem::create_directory_symlink("..", dir.path() / "up");
  std::filesystem::create_symlink("/etc/passwd", dir.path() / "passwd.c");
  REQUIRE(::mkfifo((dir.path() / "pipe.c").c_str(), 0600) == 0);
  results all;
  const tree_summary summary = analyze_tree(dir.path().string(), {}, into(all));
  CHECK(summary.outcome == tree_outcome::completed);
  CHECK(all.size() == 5);
  CHECK(all.at("\xFF\n.c").counts.code == 1);
  CHECK(all.at("up").status == file_status::symlink);
  CHECK(all.at("passwd.c").status == file_status::symlink);
  CHECK(all.at("pipe.c").status == file_status::not_regular);
}
