// SPDX-License-Identifier: Apache-2.0
/// @file
/// The conditions every module's error codes map to, and what a module needs to define its own codes.
#pragma once

#include <spillway/core/export.hpp>

#include <boost/system/error_category.hpp>
#include <boost/system/error_code.hpp>
#include <boost/system/error_condition.hpp>

#include <cstdint>
#include <span>
#include <type_traits>

namespace spillway {

using boost::system::error_code;
using boost::system::error_condition;

/// What the caller can do about a failure, whichever module reports it:
///
///     if (ec == errc::overloaded) reply(503);
///
/// Rules for retries and HTTP statuses are written against these, never against a module's own codes.
enum class errc {
  overloaded = 1,    ///< Too much work at the moment: try later, with backoff.
  timed_out,         ///< The deadline passed first. The work may have been done.
  unavailable,       ///< The other side cannot be reached or refuses service.
  shutting_down,     ///< This object is stopping and takes no new work.
  cancelled,         ///< The caller gave up.
  invalid,           ///< The request itself is wrong; repeating it cannot help.
  not_found,         ///< What was asked for does not exist.
  conflict,          ///< It contradicts the present state: a duplicate, a lost race.
  permission_denied, ///< The caller, or this handle, may not do that.
  internal,          ///< A defect or corruption. Tell a person.
};

[[nodiscard]] SPILLWAY_EXPORT const boost::system::error_category& condition_category() noexcept;

/// Found by argument-dependent lookup: lets `ec == errc::timed_out` compile.
[[nodiscard]] inline error_condition make_error_condition(errc condition) noexcept {
  return {static_cast<int>(condition), condition_category()};
}

/// One code of a module: its value, what to tell a person, and the condition it is an instance of.
struct error_entry {
  int value;
  const char* message;
  errc condition;
};

/// Makes a module's category from a table of its codes. It lives as long as the program: keep it in a function's static.
///
///     const boost::system::error_category& pool_category() noexcept {
///       static constexpr error_entry entries[]{{1, "no resource became free in time", errc::timed_out}};
///       static const auto& category = make_error_category("spillway.pool", 0x7350'696c'0000'0003u, entries);
///       return category;
///     }
///
/// `id` identifies the category across shared objects; each module uses a constant of its own. The table and the name must have
/// static storage.
[[nodiscard]] SPILLWAY_EXPORT const boost::system::error_category& make_error_category(const char* name, std::uint64_t id,
                                                                                       std::span<const error_entry> entries);

}  // namespace spillway

template <>
struct boost::system::is_error_condition_enum<spillway::errc> : std::true_type {};
