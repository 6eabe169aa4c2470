// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <libpq-fe.h>

#include <charconv>
#include <cstdint>
#include <memory>
#include <string_view>

namespace spillway::detail {

struct pg_clear {
  void operator()(PGresult* result) const noexcept { PQclear(result); }
};
using pg_result = std::unique_ptr<PGresult, pg_clear>;

struct pg_finish {
  void operator()(PGconn* connection) const noexcept { PQfinish(connection); }
};
using pg_handle = std::unique_ptr<PGconn, pg_finish>;

inline bool is(const PGresult* answer, ExecStatusType status) noexcept { return PQresultStatus(answer) == status; }

inline std::uint64_t number_in(const char* text) noexcept {
  std::uint64_t number{0};
  const std::string_view digits{text};
  std::from_chars(digits.data(), digits.data() + digits.size(), number);
  return number;
}

}  // namespace spillway::detail
