// SPDX-License-Identifier: Apache-2.0
#include "analysis_service/project_root.hpp"

#include "support/temp_dir.hpp"

#include <doctest/doctest.h>

#include <filesystem>

#include <sys/stat.h>

using namespace analysis;
namespace fs = std::filesystem;

namespace {

struct tree {
  static std::string made_in(const spillway::tests::temp_dir& dir) {
    fs::create_directories(dir.path() / "root/app/src");
    fs::create_directories(dir.path() / "outside/secret");
    fs::create_directories(dir.path() / "root-twin");
    fs::create_directory_symlink(dir.path() / "outside", dir.path() / "root/link");
    fs::create_directory_symlink("app", dir.path() / "root/inner-link");
    dir.write("root/file.txt", "x");
    return (dir.path() / "root").string();
  }
  spillway::tests::temp_dir dir;
  project_root root{made_in(dir)};
};

std::string refusal(const project_root& root, std::string_view path) {
  const auto opened = root.open(path);
  return opened ? "opened " + opened->path : opened.error().reason;
}

}  // namespace

TEST_CASE("project_root.opens_directories_below_the_root") {
  const tree t;
  CHECK(t.root.open("app/src")->path == "app/src");
  CHECK(t.root.open("./app//src/.")->path == "app/src");
  CHECK(t.root.open(".")->path.empty());
  CHECK(t.root.open(t.root.path() + "/app")->path == "app");
  CHECK(t.root.open(t.root.path())->path.empty());
  struct stat by_name {};
  struct stat by_fd {};
  REQUIRE(::stat((t.root.path() + "/app/src").c_str(), &by_name) == 0);
  REQUIRE(::fstat(t.root.open("app/src")->fd.get(), &by_fd) == 0);
  CHECK(by_name.st_ino == by_fd.st_ino);
}

TEST_CASE("project_root.refuses_every_way_out_of_the_root") {
  const tree t;
  CHECK(refusal(t.root, "..") == "the path contains '..'");
  CHECK(refusal(t.root, "app/../../outside") == "the path contains '..'");
  CHECK(refusal(t.root, "app/..") == "the path contains '..'");
  CHECK(refusal(t.root, "/etc") == "the path is outside the configured root");
  CHECK(refusal(t.root, t.root.path() + "-twin") == "the path is outside the configured root");
  CHECK(refusal(t.root, t.root.path() + "/../outside") == "the path contains '..'");
  CHECK(refusal(t.root, "link") == "'link' is not a directory, or is a symbolic link");
  CHECK(refusal(t.root, "link/secret") == "'link' is not a directory, or is a symbolic link");
  CHECK(refusal(t.root, "inner-link") == "'inner-link' is not a directory, or is a symbolic link");
}

TEST_CASE("project_root.says_what_is_wrong_with_a_path") {
  const tree t;
  CHECK(refusal(t.root, "") == "the path is empty; '.' is the root itself");
  CHECK(refusal(t.root, "missing") == "'missing' does not exist");
  CHECK(refusal(t.root, "file.txt") == "'file.txt' is not a directory, or is a symbolic link");
  CHECK(refusal(t.root, std::string_view{"a\0b", 3}) == "the path contains a NUL byte");
  CHECK(refusal(t.root, std::string(5000, 'a')) == "the path is 5000 bytes long; at most 4096 are allowed");
  CHECK(refusal(t.root, std::string(300, 'a')) == "a component of 300 bytes is too long");
}

TEST_CASE("project_root.the_root_itself_must_be_a_directory") {
  const tree t;
  CHECK_THROWS_AS(project_root{t.root.path() + "/missing"}, std::invalid_argument);
  CHECK_THROWS_AS(project_root{t.root.path() + "/file.txt"}, std::invalid_argument);
}

TEST_CASE("project_root.a_directory_swapped_for_a_link_afterwards_leads_nowhere_else") {
  const tree t;
  const auto opened = t.root.open("app");
  REQUIRE(opened.has_value());
  fs::rename(fs::path{t.root.path()} / "app", fs::path{t.root.path()} / "moved");
  fs::create_directory_symlink(t.dir.path() / "outside", fs::path{t.root.path()} / "app");
  struct stat held {};
  struct stat moved {};
  REQUIRE(::fstat(opened->fd.get(), &held) == 0);
  REQUIRE(::stat((t.root.path() + "/moved").c_str(), &moved) == 0);
  CHECK(held.st_ino == moved.st_ino);
  CHECK_FALSE(t.root.open("app").has_value());
}
