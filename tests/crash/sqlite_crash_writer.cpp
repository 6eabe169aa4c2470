// SPDX-License-Identifier: Apache-2.0
// Writes batches until it is killed, several at a time, so that they share commits; and reports the number of each on the descriptor once it is
// committed. Now and then one fails and must leave nothing.
//   sqlite_crash_writer <file> normal|full <descriptor>
#include <spillway/db/migrate.hpp>
#include <spillway/db/sqlite.hpp>

#include <sys/prctl.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <cstdint>
#include <cstdlib>
#include <ranges>
#include <string_view>
#include <thread>
#include <tuple>
#include <vector>

namespace {

constexpr int rows_in_batch{5};

using batch_result = spillway::result<std::int64_t, spillway::db_error>;

/// The number of the batch.
batch_result write_batch(spillway::write_session& s, bool fails) {
  const auto number = s.query_one<std::int64_t>("UPDATE total SET batches = batches + 1 RETURNING batches").value().value();
  const auto rows = std::views::iota(0, rows_in_batch) | std::views::transform([&](int i) { return std::pair{number, i}; });
  s.execute_many("INSERT INTO entry (batch, place) VALUES ($1, $2)", rows).value();
  if (fails) return spillway::db_error{spillway::db_errc::check_violation};
  return number;
}

class batch_writer {
 public:
  batch_writer(spillway::database& db, int reports) : db_{db}, reports_{reports} {}

  void write_blocking() {
    for (int i = 0;; ++i) report(db_.write([&](spillway::write_session& s) { return write_batch(s, i % 8 == 7); }, options_));
  }
  /// Writes the next when this one is done, for ever.
  void write_asynchronously(int i = 0) {
    const auto next = [i](spillway::write_session& s) { return write_batch(s, i % 8 == 7); };
    db_.async_write(next, options_, [this, i](std::exception_ptr, const batch_result& done) {
      report(done);
      write_asynchronously(i + 1);
    });
  }

 private:
  /// Less than PIPE_BUF, so reports of several threads do not mix. The second number proves that commits are shared.
  void report(const batch_result& done) const {
    if (!done) return;
    const std::array<std::int64_t, 2> line{*done, *done % 32 == 0 ? static_cast<std::int64_t>(db_.stats().shared_commit_writes) : 0};
    if (::write(reports_, line.data(), sizeof line) != sizeof line) std::_Exit(1);
  }

  spillway::database& db_;
  int reports_;
  spillway::session_options options_{std::chrono::hours{1}};
};

}  // namespace

int main(int count, char** arguments) {
  if (count != 4) return 2;
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  const std::string_view synchronous{arguments[2]};
  const int reports = std::atoi(arguments[3]);
  spillway::sqlite_config config;
  config.path = arguments[1];
  config.synchronous = synchronous == "full" ? spillway::sqlite_synchronous::full : spillway::sqlite_synchronous::normal;
  auto db = spillway::open_sqlite(config).value();
  spillway::migrate(db, {"CREATE TABLE total (batches INTEGER NOT NULL); INSERT INTO total VALUES (0)",
                         "CREATE TABLE entry (batch INTEGER NOT NULL, place INTEGER NOT NULL, PRIMARY KEY (batch, place))"}).value();
  batch_writer writer{db, reports};
  for (int i = 0; i < 6; ++i) writer.write_asynchronously();
  std::vector<std::thread> threads;
  for (int i = 0; i < 3; ++i) threads.emplace_back([&] { writer.write_blocking(); });
  for (auto& thread : threads) thread.join();
  return 0;
}
