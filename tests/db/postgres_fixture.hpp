// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "db/support/postgres_cluster.hpp"

#include <spillway/db/postgres.hpp>

#include <chrono>
#include <string>
#include <thread>
#include <utility>

namespace spillway::tests {

/// A database of its own in the cluster that this program's tests share.
struct postgres_fixture {
  postgres_database place;

  [[nodiscard]] postgres_config config() const {
    postgres_config made;
    made.url = place.url();
    made.readers = 2;
    made.writers = 2;
    return made;
  }
  [[nodiscard]] database open() const { return open_postgres(config()).value(); }
  text_rows sql(std::string_view statements) const { return place.cluster.sql(statements, 0, place.name); }
  [[nodiscard]] std::string value(std::string_view statement) const { return place.cluster.value(statement, 0, place.name); }
  /// Sessions of this database that a `database` has opened.
  [[nodiscard]] int sessions() const {
    return std::stoi(value("SELECT count(*) FROM pg_stat_activity WHERE datname = '" + place.name + "' AND application_name = 'spillway'"));
  }
};

/// The one value that a query gives.
template <class T>
T one(database& db, std::string_view sql) {
  return db.read([&](read_session& s) { return s.query_one<T>(sql); }).value().value();
}

/// Until something that others bring about holds.
template <class Condition>
void wait_until(Condition&& condition) {
  while (!condition()) std::this_thread::sleep_for(std::chrono::milliseconds{1});
}

}  // namespace spillway::tests
