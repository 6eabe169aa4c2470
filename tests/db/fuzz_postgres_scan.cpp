// SPDX-License-Identifier: Apache-2.0
// Fuzz target: whatever the text, statements lie in it one behind the other, none is empty, and what is a statement stays one.
#include "db/backends/postgres/pg_scan.hpp"

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string_view>

namespace {

void require(bool holds, const char* what, std::string_view sql) {
  if (holds) return;
  std::fprintf(stderr, "postgres_scan: %s\n%.*s\n", what, static_cast<int>(sql.size()), sql.data());
  std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace spillway::detail;
  const std::string_view sql{reinterpret_cast<const char*>(data), size};
  std::size_t at{0};
  const char* end = sql.data();
  while (const auto found = pg_next_statement(sql, at)) {
    require(!found->text.empty(), "an empty statement", sql);
    require(found->text.data() >= end, "statements overlap", sql);
    end = found->text.data() + found->text.size();
    require(end <= sql.data() + sql.size() && at <= sql.size(), "outside of the text", sql);
    require(found->missing_parameter < found->highest_parameter || found->missing_parameter == 0, "a gap above the highest parameter", sql);
    std::size_t again{0};
    const auto same = pg_next_statement(found->text, again);
    require(same && same->kind == found->kind && same->highest_parameter == found->highest_parameter, "not the same alone", sql);
  }
  require(at == sql.size(), "text is left over", sql);
  return 0;
}
