// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <libpq-fe.h>

#include <memory>

namespace spillway::detail {

struct pg_clear {
  void operator()(PGresult* result) const noexcept { PQclear(result); }
};
using pg_result = std::unique_ptr<PGresult, pg_clear>;

struct pg_finish {
  void operator()(PGconn* connection) const noexcept { PQfinish(connection); }
};
using pg_handle = std::unique_ptr<PGconn, pg_finish>;

}  // namespace spillway::detail
