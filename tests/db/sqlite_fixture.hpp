// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "support/temp_dir.hpp"

#include <spillway/db/sqlite.hpp>

#include <string>
#include <thread>

namespace spillway::tests {

/// A database file in a directory of its own.
struct sqlite_fixture {
  temp_dir directory;

  [[nodiscard]] std::string path() const { return (directory.path() / "test.db").string(); }
  [[nodiscard]] sqlite_config config() const {
    sqlite_config made;
    made.path = path();
    made.readers = 2;
    return made;
  }
  [[nodiscard]] database open() const { return open_sqlite(config()).value(); }
};

/// Until something that other threads bring about holds.
template <class Condition>
void wait_until(Condition&& condition) {
  while (!condition()) std::this_thread::yield();
}

}  // namespace spillway::tests
