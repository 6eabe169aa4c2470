// SPDX-License-Identifier: Apache-2.0
// A database in one file: one fair writer, several readers, and types that say which is which.
#include <spillway/db/migrate.hpp>
#include <spillway/db/sqlite.hpp>

#include <cstdio>
#include <filesystem>
#include <random>
#include <string>
#include <thread>
#include <tuple>
#include <vector>

using spillway::read_session;
using spillway::write_session;

int main() {
  const auto file = std::filesystem::temp_directory_path() / ("spillway-example-" + std::to_string(std::random_device{}()) + ".db");
  {
    auto db = spillway::open_sqlite({.path = file.string()}).value();
    spillway::migrate(db, {"CREATE TABLE account (name TEXT PRIMARY KEY, balance INTEGER NOT NULL CHECK (balance >= 0))"}).value();

    const std::vector<std::tuple<std::string, int>> accounts{{"Ada", 100}, {"Ben", 100}, {"Cleo", 0}};
    db.write([&](write_session& s) { return s.execute_many("INSERT INTO account VALUES ($1, $2)", accounts); }).value();

    const auto transfer = [&db](const std::string& from, const std::string& to, int amount) {
      return db.write([&](write_session& s) {
        s.execute("UPDATE account SET balance = balance + $2 WHERE name = $1", to, amount).value();
        s.execute("UPDATE account SET balance = balance - $2 WHERE name = $1", from, amount).value();
      });
    };

    // Both threads get their turns in order; neither sees the other halfway.
    std::thread ada{[&] { for (int i = 0; i < 50; ++i) transfer("Ada", "Cleo", 1).value(); }};
    std::thread ben{[&] { for (int i = 0; i < 50; ++i) transfer("Ben", "Cleo", 2).value(); }};
    ada.join();
    ben.join();

    // Too much: the whole transfer is rolled back.
    const auto refused = transfer("Ben", "Ada", 1);
    if (!refused) std::printf("refused: %s\n", refused.error().what().c_str());

    // A read gets no `execute`: writing here would not compile.
    db.read([](read_session& s) {
      return s.stream("SELECT name, balance FROM account ORDER BY name", {}, [](spillway::row_view row) {
        std::printf("%-5s %4d\n", row.get<std::string>("name").c_str(), row.get<int>("balance"));
      });
    }).value();
  }
  std::filesystem::remove(file);
}
