// SPDX-License-Identifier: Apache-2.0
#include "db/session_conformance.hpp"
#include "db/sqlite_fixture.hpp"

#include <doctest/doctest.h>

using namespace spillway;

TEST_CASE("sqlite.conforms_to_the_session_interface") {
  const tests::sqlite_fixture fixture;
  tests::session_conformance({.open =
                                  [&](const database_config& config) {
                                    auto given = fixture.config();
                                    given.database = config;
                                    return open_sqlite(given).value();
                                  },
                              .blob_type = "BLOB"});
}
