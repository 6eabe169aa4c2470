// SPDX-License-Identifier: Apache-2.0
// The text form of a place in a sorted query, and its way back from whoever held it.
#pragma once

#include <spillway/core/clock.hpp>
#include <spillway/db/db_error.hpp>
#include <spillway/db/sql_value.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace spillway::detail {

/// Of a query with its sort and parameters.
using query_fingerprint = std::array<unsigned char, 8>;

/// A row of the sort, and which side of it is meant.
struct cursor_content {
  bool backward{false};
  std::vector<sql_value> values;
  std::string_view token;
};

/// One that was decoded: its views point into itself.
struct cursor_place : cursor_content {
  cursor_place(std::string bytes, const query_fingerprint& made_for) noexcept : storage{std::move(bytes)}, fingerprint{made_for} {}
  cursor_place(const cursor_place&) = delete;
  cursor_place& operator=(const cursor_place&) = delete;

  const std::string storage;
  const query_fingerprint fingerprint;
};

inline constexpr std::size_t token_limit_bytes{256};

/// What signs a cursor. The newest key is first.
struct cursor_seal {
  std::vector<std::string> keys;
  query_fingerprint fingerprint{};
};

/// Appends the values one after the other, so that different values give different bytes.
void append_values(std::string& bytes, std::span<const sql_value> values);

/// `expires_at`: none if it is the epoch.
/// Errors: db_errc::value_too_large beyond `max_chars`.
[[nodiscard]] result<std::string, db_error> encode_cursor(const cursor_content& content, const cursor_seal& seal, wall_time_point expires_at,
                                                          std::size_t max_chars);

/// `columns` is how many values there must be.
/// Errors: the five that begin with cursor_, see keyset_pager::open.
[[nodiscard]] result<std::shared_ptr<const cursor_place>, db_error> decode_cursor(std::string_view text, const cursor_seal& seal,
                                                                                  wall_time_point now, std::size_t columns,
                                                                                  std::size_t max_chars);

}  // namespace spillway::detail
