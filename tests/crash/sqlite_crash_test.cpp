// SPDX-License-Identifier: Apache-2.0
// What was reported as committed is there after a kill -9, and nothing is there by half. The system's memory survives such a kill, so this
// says nothing about a loss of power.
#include "support/temp_dir.hpp"

#include <spillway/db/sqlite.hpp>

#include <doctest/doctest.h>

#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <random>
#include <string>
#include <tuple>
#include <vector>

using namespace spillway;

namespace {

constexpr std::int64_t rows_in_batch{5};

/// The writer in a process of its own.
class writer_process {
 public:
  writer_process(const std::string& file, const char* synchronous) {
    int ends[2];
    REQUIRE(::pipe(ends) == 0);
    reports_ = ends[0];
    pid_ = ::fork();
    REQUIRE(pid_ >= 0);
    if (pid_ == 0) {
      ::close(ends[0]);
      const auto descriptor = std::to_string(ends[1]);
      ::execl(SPILLWAY_CRASH_WRITER, SPILLWAY_CRASH_WRITER, file.c_str(), synchronous, descriptor.c_str(), nullptr);
      ::_exit(127);
    }
    ::close(ends[1]);
  }
  ~writer_process() { ::close(reports_); }
  writer_process(const writer_process&) = delete;
  writer_process& operator=(const writer_process&) = delete;

  /// The next batch reported; false once the writer is gone and all was read.
  bool next(std::int64_t& batch) {
    std::array<std::int64_t, 2> line{};
    if (::read(reports_, line.data(), sizeof line) != sizeof line) return false;
    batch = line[0];
    shared_ = std::max(shared_, line[1]);
    return true;
  }
  /// Of the batches, so many were committed together with others, as far as was reported.
  [[nodiscard]] std::int64_t shared() const { return shared_; }

  /// Returns how the process ended.
  int kill() {
    ::kill(pid_, SIGKILL);
    int status{0};
    REQUIRE(::waitpid(pid_, &status, 0) == pid_);
    return status;
  }

 private:
  pid_t pid_{-1};
  int reports_{-1};
  std::int64_t shared_{0};
};

void check_file(const std::string& path, const std::vector<std::int64_t>& reported) {
  sqlite_config config;
  config.path = path;
  auto db = open_sqlite(config).value();
  CHECK(db.read([](read_session& s) { return s.query_one<std::string>("PRAGMA integrity_check"); }).value() == "ok");
  if (!db.read([](read_session& s) { return s.query("SELECT 1 FROM total"); }).has_value()) {
    REQUIRE(reported.empty());  // killed before the schema was there
    return;
  }
  const auto [batches, entries, largest, uneven] = db.read([](read_session& s) {
    return s.query_one<std::tuple<std::int64_t, std::int64_t, std::int64_t, std::int64_t>>(
        "SELECT (SELECT batches FROM total), (SELECT count(*) FROM entry), (SELECT coalesce(max(batch), 0) FROM entry), "
        "(SELECT count(*) FROM (SELECT 1 FROM entry GROUP BY batch HAVING count(*) <> $1))", rows_in_batch);
  }).value().value();
  CHECK(uneven == 0);
  CHECK(largest == batches);
  CHECK(entries == batches * rows_in_batch);  // with the two above: batches 1 to `batches` are there, whole
  for (const auto batch : reported) REQUIRE(batch <= batches);
}

void crash_and_check(const char* synchronous, int rounds) {
  const auto seed = std::random_device{}();
  CAPTURE(seed);
  MESSAGE("seed " << seed);
  std::mt19937_64 random{seed};
  const tests::temp_dir directory;
  const auto path = (directory.path() / "crash.db").string();
  std::vector<std::int64_t> reported;
  std::int64_t shared{0};
  for (int round = 0; round < rounds; ++round) {
    writer_process writer{path, synchronous};
    // In the first round perhaps before anything is there.
    const auto patience = random() % (round == 0 ? 3 : 500);
    std::int64_t batch{0};
    for (std::uint64_t i = 0; i < patience; ++i) {
      REQUIRE(writer.next(batch));
      reported.push_back(batch);
    }
    const int status = writer.kill();
    REQUIRE((WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL));
    while (writer.next(batch)) reported.push_back(batch);
    shared += writer.shared();
    if (std::filesystem::exists(path)) check_file(path, reported);
  }
  std::ranges::sort(reported);
  CHECK(std::ranges::adjacent_find(reported) == reported.end());  // no batch was reported twice
  CHECK(reported.size() > static_cast<std::size_t>(rounds));
  CHECK(shared > rounds);
}

}  // namespace

TEST_CASE("sqlite_crash.a_killed_process_loses_no_reported_commit_and_leaves_nothing_by_half") { crash_and_check("normal", 12); }

TEST_CASE("sqlite_crash.nor_does_one_that_waits_for_the_disk") { crash_and_check("full", 6); }
