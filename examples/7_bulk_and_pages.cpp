// SPDX-License-Identifier: Apache-2.0
// Many rows at once, some of them known already; then page by page through them with cursors that a client may hold.
#include <spillway/db/bulk.hpp>
#include <spillway/db/keyset.hpp>
#include <spillway/db/sqlite.hpp>

#include <cstdio>
#include <filesystem>
#include <random>
#include <string>
#include <tuple>
#include <vector>

using namespace spillway;

int main() {
  const auto file = std::filesystem::temp_directory_path() / ("spillway-example-" + std::to_string(std::random_device{}()) + ".db");
  {
    auto db = open_sqlite({.path = file.string()}).value();
    std::vector<std::tuple<int, std::string, int>> players;
    for (int i = 1; i <= 1'000; ++i) players.emplace_back(i, "player " + std::to_string(i), i * 37 % 100);

    const bulk_target target{"player", {"id", "name", "score"}};
    db.write([&](write_session& s) {
      s.execute("CREATE TABLE player (id INTEGER PRIMARY KEY, name TEXT NOT NULL, score INTEGER NOT NULL)").value();
      s.execute("CREATE INDEX player_by_score ON player (score DESC, id)").value();
      bulk_insert(s, target, players).value();
      const auto again = bulk_insert(s, target, players, on_conflict::skip()).value();
      std::printf("the same once more: %d given, %d skipped\n", static_cast<int>(again.given), static_cast<int>(again.skipped()));
      players.resize(1);
      std::get<2>(players[0]) = 1'000;
      bulk_insert(s, target, players, on_conflict::update({"id"})).value();
    }).value();

    keyset_config config{.select = "id, name, score", .from = "player"};
    config.sort = {{"score", sort_direction::descending}, {"id"}};
    config.keys = {"a secret of the server, 16 bytes or more"};
    const keyset_pager ranking{config};

    std::string cursor;  // what the client sends back to get the next page
    for (int number = 1; number <= 3; ++number) {
      const auto place = ranking.open(cursor).value();
      const auto page = db.read([&](read_session& s) { return ranking.read(s, place, {}, {.size = 2}); }).value();
      for (auto row : page.rows) std::printf("page %d: %-10s %4d\n", number, row.get<std::string>("name").c_str(), row.get<int>("score"));
      cursor = page.next;
    }
    cursor[20] = cursor[20] == 'A' ? 'B' : 'A';
    std::printf("changed on its way: %s\n", ranking.open(cursor).error().what().c_str());
  }
  std::filesystem::remove(file);
}
