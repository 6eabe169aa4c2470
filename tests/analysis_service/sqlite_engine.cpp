// SPDX-License-Identifier: Apache-2.0
#include "test_engine.hpp"

#include <spillway/db/sqlite.hpp>

namespace analysis::tests {

test_engine::test_engine() = default;
test_engine::~test_engine() = default;

void test_engine::use(service_config&) const {}
std::vector<std::string> test_engine::environment() const { return {}; }

store test_engine::open(const std::filesystem::path& folder) const {
  store records{spillway::open_sqlite({.path = (folder / "service.db").string()}).value()};
  records.prepare().value();
  return records;
}

}  // namespace analysis::tests
