// SPDX-License-Identifier: Apache-2.0
#include "pg_error.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstddef>

namespace spillway::detail {

namespace {

struct state_row {
  std::string_view state;  // five characters, or the two of a class
  db_errc code;
};

// The more exact first.
constexpr std::array states{
    state_row{"40001", db_errc::serialization_failure},
    state_row{"40P01", db_errc::deadlock_detected},
    state_row{"40003", db_errc::commit_unknown},
    state_row{"40", db_errc::serialization_failure},
    state_row{"23505", db_errc::unique_violation},
    state_row{"23503", db_errc::foreign_key_violation},
    state_row{"23502", db_errc::not_null_violation},
    state_row{"23514", db_errc::check_violation},
    state_row{"23", db_errc::constraint_violation},
    state_row{"P0001", db_errc::constraint_violation},  // RAISE EXCEPTION: a trigger or function that refuses
    state_row{"42501", db_errc::permission_denied},
    state_row{"42601", db_errc::syntax_error},
    state_row{"42602", db_errc::syntax_error},
    state_row{"42622", db_errc::syntax_error},
    state_row{"42804", db_errc::type_mismatch},
    state_row{"42846", db_errc::type_mismatch},
    state_row{"42P18", db_errc::type_mismatch},
    state_row{"42P01", db_errc::no_such_object},
    state_row{"42P02", db_errc::wrong_parameters},
    state_row{"42703", db_errc::no_such_object},
    state_row{"42704", db_errc::no_such_object},
    state_row{"42883", db_errc::no_such_object},
    state_row{"3F000", db_errc::no_such_object},
    state_row{"42", db_errc::invalid_statement},
    state_row{"22", db_errc::type_mismatch},
    state_row{"21", db_errc::invalid_statement},
    state_row{"25006", db_errc::read_only},
    state_row{"25P02", db_errc::engine_error},
    state_row{"25P03", db_errc::connection_lost},  // idle in a transaction for too long
    state_row{"25", db_errc::invalid_statement},
    state_row{"0A", db_errc::invalid_statement},
    state_row{"0B", db_errc::invalid_statement},
    state_row{"2", db_errc::invalid_statement},
    state_row{"3", db_errc::invalid_statement},
    state_row{"44", db_errc::check_violation},
    state_row{"53100", db_errc::disk_full},
    state_row{"53200", db_errc::out_of_memory},
    state_row{"53300", db_errc::busy},
    state_row{"53", db_errc::busy},
    state_row{"54", db_errc::value_too_large},
    state_row{"55P03", db_errc::busy},
    state_row{"55006", db_errc::busy},
    state_row{"55", db_errc::invalid_statement},
    state_row{"57014", db_errc::timed_out},
    state_row{"57P03", db_errc::cannot_open},
    state_row{"57", db_errc::connection_lost},
    state_row{"58030", db_errc::io_error},
    state_row{"58", db_errc::io_error},
    state_row{"28", db_errc::authentication_failed},
    state_row{"08", db_errc::connection_lost},
    state_row{"XX001", db_errc::corrupt},
    state_row{"XX002", db_errc::corrupt},
};

constexpr std::size_t state_length{5};

}  // namespace

db_errc db_errc_of_sqlstate(std::string_view sqlstate) noexcept {
  // 28 and 08 begin with a digit that stands for a wider class above, so the two are looked for first.
  if (sqlstate.starts_with("28")) return db_errc::authentication_failed;
  const auto* const row = std::ranges::find_if(states, [&](const state_row& one) { return sqlstate.starts_with(one.state); });
  return row == states.end() ? db_errc::engine_error : row->code;
}

int sqlstate_number(std::string_view sqlstate) noexcept {
  if (sqlstate.size() != state_length) return 0;
  int number{0};
  for (std::size_t i = 0; i < state_length; ++i) {
    const char c = sqlstate[i];
    if ((c < '0' || c > '9') && (c < 'A' || c > 'Z')) return 0;
    number |= ((c - '0') & 0x3f) << (6 * static_cast<int>(i));
  }
  return number;
}

std::string sqlstate_text(int number) {
  if (number <= 0 || (number >> 30) != 0) return {};
  std::string text;
  for (std::size_t i = 0; i < state_length; ++i) {
    text += static_cast<char>('0' + ((number >> (6 * static_cast<int>(i))) & 0x3f));
  }
  return sqlstate_number(text) == number ? text : std::string{};
}

bool may_be_of_old_types(std::string_view sqlstate) noexcept {
  constexpr std::array<std::string_view, 7> states{"22003", "22007", "22008", "22P02", "22P03", "42804", "42883"};
  return std::ranges::find(states, sqlstate) != states.end();
}

bool ends_session(std::string_view sqlstate) noexcept {
  return sqlstate.starts_with("57P0") || sqlstate.starts_with("08") || sqlstate == "25P03";
}

std::string_view sqlstate_of(const PGresult* failed) noexcept {
  const char* const state = PQresultErrorField(failed, PG_DIAG_SQLSTATE);
  return state == nullptr ? std::string_view{} : std::string_view{state};
}

std::string one_line(std::string_view text) {
  std::string line;
  bool blank{false};
  for (const char c : text) {
    if (c == '\n' || c == '\t' || c == ' ' || c == '\r') {
      blank = !line.empty();
      continue;
    }
    if (blank) line += ' ';
    blank = false;
    line += c;
  }
  return line;
}

std::uint64_t copy_line_of(const PGresult* failed) noexcept {
  const char* const field = PQresultErrorField(failed, PG_DIAG_CONTEXT);
  // "COPY item, line 3, column price: ..."; what stands before may be of a trigger, and a table may be called anything.
  const std::string_view context{field == nullptr ? "" : field};
  constexpr std::string_view word{", line "};
  const auto copy = context.find("COPY ");
  const auto at = copy == std::string_view::npos ? copy : context.find(word, copy);
  if (at == std::string_view::npos) return 0;
  std::uint64_t line{0};
  std::from_chars(context.data() + at + word.size(), context.data() + context.size(), line);
  return line;
}

db_error pg_error(const PGresult* failed, std::string_view sql) {
  const auto state = sqlstate_of(failed);
  if (state.empty()) return pg_connection_lost(PQresultErrorMessage(failed), sql);
  const char* const primary = PQresultErrorField(failed, PG_DIAG_MESSAGE_PRIMARY);
  return {db_errc_of_sqlstate(state), fmt::format("{} ({})", primary == nullptr ? "" : primary, state), sqlstate_number(state), sql};
}

db_error pg_connection_lost(std::string_view said, std::string_view sql) { return {db_errc::connection_lost, one_line(said), 0, sql}; }

}  // namespace spillway::detail
