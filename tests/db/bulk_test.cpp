// SPDX-License-Identifier: Apache-2.0
#include "db/bulk_conformance.hpp"
#include "db/bulk_job.hpp"
#include "db/sqlite_fixture.hpp"

using namespace spillway;
using namespace spillway::tests;
using detail::bulk_job;
using detail::bulk_kind;

TEST_CASE("bulk.on SQLite") {
  sqlite_fixture file;
  auto db = file.open();
  bulk_conformance(db, "BLOB");
}

TEST_CASE("bulk.the statements") {
  bulk_job job{bulk_kind::insert, R"("t")", {R"("a")", R"("b")", R"("c")"}, {0}, {1, 2}};
  CHECK(detail::insert_sql(job) == R"(INSERT INTO "t" ("a", "b", "c") VALUES ($1, $2, $3))");
  job.kind = bulk_kind::insert_or_skip;
  CHECK(detail::insert_sql(job) == R"(INSERT INTO "t" ("a", "b", "c") VALUES ($1, $2, $3) ON CONFLICT DO NOTHING)");
  job.kind = bulk_kind::insert_or_update;
  job.keys = {0, 1};
  job.set = {2};
  CHECK(detail::insert_sql(job) ==
        R"(INSERT INTO "t" ("a", "b", "c") VALUES ($1, $2, $3) ON CONFLICT ("a", "b") DO UPDATE SET "c" = excluded."c")");
  job.kind = bulk_kind::update;
  CHECK(detail::update_sql(job) == R"(UPDATE "t" SET "c" = $3 WHERE "a" = $1 AND "b" = $2)");
}
