// SPDX-License-Identifier: Apache-2.0
#include "analyzer/tree_walk.hpp"

#include "analyzer/file_descriptor.hpp"
#include "support/temp_dir.hpp"

#include <doctest/doctest.h>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

using namespace analysis;
using spillway::tests::temp_dir;

namespace {

struct walked {
  std::vector<std::string> files;
  std::map<std::string, file_status> skipped;
  std::size_t largest_batch{0};
  walk_end end{walk_end::complete};
};

walked walk(const std::string& root, const tree_walk_options& options = {}) {
  walked result;
  const tree_visitor visitor{[&](const file_batch& batch) {
                               result.largest_batch = std::max(result.largest_batch, batch.names.size());
                               for (const std::string& name : batch.names) result.files.push_back(batch.prefix + name);
                               return true;
                             },
                             [&](const file_analysis& skipped) {
                               result.skipped[skipped.path] = skipped.status;
                               CHECK_FALSE(skipped.reason.empty());
                               return true;
                             }};
  const int fd = ::open(root.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  REQUIRE(fd >= 0);
  result.end = walk_tree(fd, options, visitor);
  std::ranges::sort(result.files);
  return result;
}

/// Directories nested deeper than any path may be long, and deeper than remove_all can go.
class deep_tree {
 public:
  deep_tree(const std::string& root, int levels) : fd_(open(AT_FDCWD, root.c_str())) {
    for (; depth_ < levels && ::mkdirat(fd_.get(), "d", 0700) == 0; ++depth_) fd_ = open(fd_.get(), "d");
  }
  ~deep_tree() {
    for (; depth_ > 0; --depth_) {
      fd_ = open(fd_.get(), "..");
      ::unlinkat(fd_.get(), "d", AT_REMOVEDIR);
    }
  }
  deep_tree(const deep_tree&) = delete;
  deep_tree& operator=(const deep_tree&) = delete;

  [[nodiscard]] int depth() const { return depth_; }

 private:
  static file_descriptor open(int at, const char* name) {
    return file_descriptor(::openat(at, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  }

  file_descriptor fd_;
  int depth_{0};
};

}  // namespace

TEST_CASE("walk_tree.lists_every_regular_file") {
  const temp_dir dir;
  dir.write("a", "");
  dir.write("b/c", "");
  dir.write("b/d/e", "");
  dir.write(".f/g", "");
  std::filesystem::create_directory(dir.path() / "empty");
  const walked result = walk(dir.path().string());
  CHECK(result.files == std::vector<std::string>{".f/g", "a", "b/c", "b/d/e"});
  CHECK(result.skipped.empty());
  CHECK(result.end == walk_end::complete);
}

TEST_CASE("walk_tree.leaves_out_version_control") {
  const temp_dir dir;
  for (const char* name : {".git/a", ".hg/a", ".svn/a", "b/.git/a", "c/.gitx/a"}) dir.write(name, "");
  CHECK(walk(dir.path().string()).files == std::vector<std::string>{"c/.gitx/a"});
  tree_walk_options options;
  options.skipped_directories = {"b", "c"};
  CHECK(walk(dir.path().string(), options).files == std::vector<std::string>{".git/a", ".hg/a", ".svn/a"});
}

TEST_CASE("walk_tree.never_follows_a_symlink") {
  const temp_dir outside;
  outside.write("secret", "");
  const temp_dir dir;
  dir.write("a", "");
  std::filesystem::create_directory_symlink(".", dir.path() / "loop");
  std::filesystem::create_directory_symlink(outside.path(), dir.path() / "out");
  std::filesystem::create_symlink("a", dir.path() / "b");
  std::filesystem::create_symlink("nowhere", dir.path() / "dangling");
  const walked result = walk(dir.path().string());
  CHECK(result.files == std::vector<std::string>{"a"});
  CHECK(result.skipped == std::map<std::string, file_status>{{"b", file_status::symlink},
                                                             {"dangling", file_status::symlink},
                                                             {"loop", file_status::symlink},
                                                             {"out", file_status::symlink}});
}

TEST_CASE("walk_tree.reports_what_is_no_regular_file") {
  const temp_dir dir;
  REQUIRE(::mkfifo((dir.path() / "pipe").c_str(), 0600) == 0);
  const walked result = walk(dir.path().string());
  CHECK(result.files.empty());
  CHECK(result.skipped == std::map<std::string, file_status>{{"pipe", file_status::not_regular}});
}

TEST_CASE("walk_tree.takes_names_for_bytes") {
  const temp_dir dir;
  const std::vector<std::string> names{"\x01\n\\\".c", "a b.c", "\xC3\xA9.c", "\xE9.c", "\xFF\xFE/\xFD.c"};
  for (const std::string& name : names) dir.write(name, "");
  CHECK(walk(dir.path().string()).files == names);
}

TEST_CASE("walk_tree.goes_no_deeper_than_allowed") {
  const temp_dir dir;
  dir.write("a", "");
  dir.write("b/c", "");
  dir.write("b/d/e", "");
  tree_walk_options options;
  options.max_depth = 1;
  const walked result = walk(dir.path().string(), options);
  CHECK(result.files == std::vector<std::string>{"a", "b/c"});
  CHECK(result.skipped == std::map<std::string, file_status>{{"b/d", file_status::too_deep}});
}

TEST_CASE("walk_tree.survives_ten_thousand_levels") {
  // In memory where there is such a place: ten thousand directories take a disk half a minute.
  std::string root = std::filesystem::exists("/dev/shm") ? "/dev/shm/spillway-test-XXXXXX" : "/tmp/spillway-test-XXXXXX";
  REQUIRE(::mkdtemp(root.data()) != nullptr);
  {
    const deep_tree deep(root, 10'000);
    REQUIRE(deep.depth() == 10'000);
    const walked result = walk(root);
    CHECK(result.files.empty());
    REQUIRE(result.skipped.size() == 1);
    CHECK(result.skipped.begin()->second == file_status::too_deep);
    CHECK(result.skipped.begin()->first.size() == 2 * 128 + 1);
  }
  std::filesystem::remove(root);
}

TEST_CASE("walk_tree.leaves_out_paths_that_are_too_long") {
  const temp_dir dir;
  dir.write("abc/de", "");
  dir.write("abc/def", "");
  tree_walk_options options;
  options.max_path_bytes = 6;
  const walked result = walk(dir.path().string(), options);
  CHECK(result.files == std::vector<std::string>{"abc/de"});
  CHECK(result.skipped == std::map<std::string, file_status>{{"abc", file_status::too_deep}});
}

TEST_CASE("walk_tree.stops_at_the_file_limit") {
  const temp_dir dir;
  for (int i = 0; i < 100; ++i) dir.write(std::to_string(i % 7) + "/" + std::to_string(i), "");
  tree_walk_options options;
  options.max_files = 40;
  const walked part = walk(dir.path().string(), options);
  CHECK(part.files.size() == 40);
  CHECK(part.end == walk_end::file_limit);
  options.max_files = 100;
  const walked all = walk(dir.path().string(), options);
  CHECK(all.files.size() == 100);
  CHECK(all.end == walk_end::complete);
}

TEST_CASE("walk_tree.hands_out_small_batches") {
  const temp_dir dir;
  for (int i = 0; i < 1000; ++i) dir.write(std::to_string(i), "");
  const walked result = walk(dir.path().string());
  CHECK(result.files.size() == 1000);
  CHECK(result.largest_batch <= 32);
}

TEST_CASE("walk_tree.ends_when_the_visitor_says_so") {
  const temp_dir dir;
  for (int i = 0; i < 100; ++i) dir.write(std::to_string(i) + "/a", "");
  int calls = 0;
  const tree_visitor visitor{[&](const file_batch&) { return ++calls < 3; }, [](const file_analysis&) { return true; }};
  const int fd = ::open(dir.path().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  CHECK(walk_tree(fd, {}, visitor) == walk_end::stopped);
  CHECK(calls == 3);
}

TEST_CASE("walk_tree.reports_a_directory_that_vanishes_or_is_none") {
  const temp_dir dir;
  const std::string file = dir.write("a/b", "");
  // The second directory is removed while the first is listed: whichever comes first takes the other away.
  dir.write("c/d", "");
  walked result;
  const tree_visitor visitor{[&](const file_batch& batch) {
                               for (const std::string& name : batch.names) result.files.push_back(batch.prefix + name);
                               std::filesystem::remove_all(dir.path() / (batch.prefix == "a/" ? "c" : "a"));
                               return true;
                             },
                             [&](const file_analysis& skipped) {
                               result.skipped[skipped.path] = skipped.status;
                               return true;
                             }};
  const int fd = ::open(dir.path().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  CHECK(walk_tree(fd, {}, visitor) == walk_end::complete);
  CHECK(result.files.size() == 1);
  REQUIRE(result.skipped.size() == 1);
  CHECK(result.skipped.begin()->second == file_status::unreadable_directory);

  const int no_directory = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
  CHECK(walk_tree(no_directory, {}, visitor) == walk_end::complete);
  CHECK(result.skipped.at(".") == file_status::unreadable_directory);
}
