// SPDX-License-Identifier: Apache-2.0
// Writes batches until it is killed, and reports the number of each on the descriptor once it is committed.
//   sqlite_crash_writer <file> normal|full <descriptor>
#include <spillway/db/migrate.hpp>
#include <spillway/db/sqlite.hpp>

#include <sys/prctl.h>
#include <unistd.h>

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

void write_batches(spillway::database& db, int reports) {
  for (;;) {
    const auto batch = db.write_for([](spillway::write_session& s) {
      const auto number = s.query_one<std::int64_t>("UPDATE total SET batches = batches + 1 RETURNING batches").value().value();
      const auto rows = std::views::iota(0, rows_in_batch) | std::views::transform([&](int i) { return std::pair{number, i}; });
      s.execute_many("INSERT INTO entry (batch, place) VALUES ($1, $2)", rows).value();
      return number;
    }, std::chrono::hours{1}).value();
    // Less than PIPE_BUF, so reports of several threads do not mix.
    if (::write(reports, &batch, sizeof batch) != sizeof batch) return;
  }
}

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
  std::vector<std::thread> writers;
  for (int i = 0; i < 3; ++i) writers.emplace_back([&] { write_batches(db, reports); });
  for (auto& writer : writers) writer.join();
  return 0;
}
