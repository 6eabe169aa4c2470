// SPDX-License-Identifier: Apache-2.0
// Not under a sanitizer: those keep freed memory on purpose.
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)

#include "db/sqlite_fixture.hpp"
#include "db/support/postgres_cluster.hpp"

#include <spillway/db/postgres.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <fstream>
#include <string>

#include <unistd.h>

using namespace spillway;
using namespace spillway::tests;

namespace {

std::int64_t resident_bytes() {
  std::ifstream statm{"/proc/self/statm"};
  std::int64_t size{0};
  std::int64_t resident{0};
  statm >> size >> resident;
  return resident * ::sysconf(_SC_PAGESIZE);
}

/// By how much a stream of a million rows makes this process grow.
std::int64_t growth_of(database& db, const std::string& sql) {
  const auto streamed = [&](std::int64_t rows) {
    auto most = resident_bytes();
    std::int64_t seen{0};
    const auto given = db.read([&](read_session& s) {
      return s.stream(sql, {rows}, [&](row_view row) {
        seen += row.get<std::string_view>(1).size() == 50 ? 1 : 0;
        if (seen % 10'000 == 0) most = std::max(most, resident_bytes());
      });
    }, std::chrono::minutes{4});
    CHECK(given.value() == static_cast<std::uint64_t>(rows));
    CHECK(seen == rows);
    return most;
  };
  (void)streamed(1'000);  // what the session keeps anyway
  const auto before = resident_bytes();
  return streamed(1'000'000) - before;
}

constexpr std::int64_t most_growth{8 << 20};

}  // namespace

TEST_CASE("stream.of a million rows needs no more memory than one of a thousand, on SQLite") {
  sqlite_fixture file;
  auto db = file.open();
  CHECK(growth_of(db, "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < $1) SELECT i, printf('%050d', i) FROM n") <= most_growth);
}

TEST_CASE("stream.of a million rows needs no more memory than one of a thousand, on PostgreSQL") {
  const postgres_database place;
  auto db = open_postgres({.url = place.url()}).value();
  CHECK(growth_of(db, "SELECT i, lpad(i::text, 50, '0') FROM generate_series(1, $1::bigint) AS i") <= most_growth);
}

#endif
