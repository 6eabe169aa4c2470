// SPDX-License-Identifier: Apache-2.0
// A reader sees what he wrote, whichever server he reads from: 10_read_your_writes postgresql://primary... postgresql://replica...
#include <spillway/db/postgres_cluster.hpp>

#include <cstdio>
#include <string>

using namespace spillway;

int main(int count, char** arguments) {
  if (count < 2) {
    std::printf("usage: %s URL...   (scripts/services/postgres.sh start DIR 2 starts a primary and two replicas)\n", arguments[0]);
    return 0;
  }
  postgres_cluster_config config;
  for (int i = 1; i < count; ++i) config.nodes.push_back({arguments[i]});
  auto opened = open_postgres_cluster(config);
  if (!opened) {
    std::printf("%s\n", opened.error().what().c_str());
    return 1;
  }
  auto& db = *opened;
  db.write([](write_session& s) { return s.execute("CREATE TABLE IF NOT EXISTS spillway_example_note (n int NOT NULL)"); }).value();

  for (int n = 0; n < 5; ++n) {
    consistency_token token;
    session_options options;
    options.token = &token;
    db.write([&](write_session& s) { return s.execute("INSERT INTO spillway_example_note VALUES ($1)", n); }, options).value();

    // Somewhere else, later: the text is all that is known.
    auto seen = consistency_token::parse(token.to_string()).value();
    options.token = &seen;
    const bool there = db.read([&](read_session& s) {
      return s.query_one<bool>("SELECT count(*) > 0 FROM spillway_example_note WHERE n = $1", n).value().value();
    }, options).value();
    std::printf("token %s: %s\n", token.to_string().c_str(), there ? "seen" : "not seen");
  }
  std::printf("%s\n", explain_routing(db).c_str());
  db.write([](write_session& s) { return s.execute("DROP TABLE spillway_example_note"); }).value();
}
