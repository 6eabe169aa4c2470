// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "pg_channel.hpp"

#include <initializer_list>
#include <string>
#include <vector>

namespace spillway::detail {

/// Asks one thing on a connection of its own: the first row as text, null as "". Empty if there is none.
/// Errors: what the server says; timed_out or connection_lost, after which the connection is of no more use.
result<std::vector<std::string>, db_error> pg_ask(pg_channel& channel, const char* sql, std::initializer_list<const char*> parameters,
                                                  const pg_limit& limit);

}  // namespace spillway::detail
