// SPDX-License-Identifier: Apache-2.0
#include "db/session_conformance.hpp"
#include "db/support/postgres_cluster.hpp"

#include <spillway/db/postgres.hpp>

#include <doctest/doctest.h>

using namespace spillway;

TEST_CASE("postgres.conforms_to_the_session_interface") {
  const tests::postgres_database subject;
  tests::session_conformance({.open =
                                  [&](const database_config& config) {
                                    postgres_config given;
                                    given.url = subject.url();
                                    given.readers = 2;
                                    given.writers = 2;
                                    given.database = config;
                                    return open_postgres(given).value();
                                  },
                              .blob_type = "BYTEA"});
}
