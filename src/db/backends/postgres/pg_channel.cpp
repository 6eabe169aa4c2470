// SPDX-License-Identifier: Apache-2.0
#include "pg_channel.hpp"

#include "pg_error.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <regex>
#include <utility>

#include <poll.h>
#include <sys/socket.h>

namespace spillway::detail {

namespace {

using namespace std::chrono_literals;

/// How late a cancellation may be noticed.
constexpr std::chrono::nanoseconds slice{5ms};

/// How long what came between two looks may stay hidden.
constexpr std::chrono::nanoseconds hidden_for{20ms};

/// Of "FATAL:  28P01: password authentication failed", as PQERRORS_VERBOSE writes it in any language: the code and the rest of the line.
struct refusal {
  std::string sqlstate;
  std::string text;
};
refusal refusal_in(std::string_view said) {
  static const std::regex pattern{"[^ \\n]+:  ([0-9A-Z]{5}): ([^\\n]*)"};
  std::match_results<std::string_view::const_iterator> found;
  if (!std::regex_search(said.begin(), said.end(), found, pattern)) return {{}, one_line(said)};
  return {found[1].str(), found[2].str()};
}

db_error cannot_connect(PGconn* connection, const std::string& where) {
  const std::string_view said{connection == nullptr ? "out of memory" : PQerrorMessage(connection)};
  const auto [sqlstate, text] = refusal_in(said);
  if (!sqlstate.empty()) {
    auto code = db_errc_of_sqlstate(sqlstate);
    if (code != db_errc::authentication_failed && code != db_errc::busy && code != db_errc::permission_denied) code = db_errc::cannot_open;
    return {code, fmt::format("{}: {} ({})", where, text, sqlstate), sqlstate_number(sqlstate)};
  }
  // libpq says it in words alone when the server asks for a password that was not given.
  if (connection != nullptr && PQconnectionNeedsPassword(connection) != 0) {
    return {db_errc::authentication_failed, fmt::format("{}: the server asks for a password, and none is given", where)};
  }
  const bool other_protocol = text.find("expected authentication request") != std::string::npos ||
                              text.find("invalid response to SSL negotiation") != std::string::npos;
  return {db_errc::cannot_open, fmt::format("{}: {}{}", where, other_protocol ? "this is no PostgreSQL server: " : "", text)};
}

}  // namespace

result<pg_channel, db_error> pg_channel::connect(const pg_conninfo& info, session_kind kind, const pg_limit& limit) {
  const auto given_up = [&](pg_wait why) {
    const auto* const cause = why == pg_wait::lost ? "the server was found to be down" : "whoever wanted it does not any more";
    return db_error{db_errc::cannot_open, fmt::format("{}: {}", info.where(), cause)};
  };
  if (const auto news = limit.news(); news != pg_wait::ready) return given_up(news);
  pg_channel made{pg_handle{PQconnectStartParams(info.keywords().data(), info.values(kind).data(), 0)}};
  auto* const connection = made.raw();
  if (connection == nullptr || PQstatus(connection) == CONNECTION_BAD) return cannot_connect(connection, info.where());
  PQsetErrorVerbosity(connection, PQERRORS_VERBOSE);
  PQsetNoticeProcessor(connection, [](void*, const char*) {}, nullptr);
  auto wanted = PGRES_POLLING_WRITING;
  while (wanted != PGRES_POLLING_OK) {
    const auto waited = made.wait(wanted == PGRES_POLLING_READING ? POLLIN : POLLOUT, limit);
    if (waited == pg_wait::timed_out) return db_error{db_errc::cannot_open, fmt::format("{}: the server did not answer in time", info.where())};
    if (const auto news = limit.news(); news != pg_wait::ready) return given_up(news);
    wanted = PQconnectPoll(connection);
    if (wanted == PGRES_POLLING_FAILED) return cannot_connect(connection, info.where());
  }
  PQsetErrorVerbosity(connection, PQERRORS_DEFAULT);
  if (PQsetnonblocking(connection, 1) != 0 || PQenterPipelineMode(connection) != 1) return cannot_connect(connection, info.where());
  return made;
}

pg_wait pg_channel::wait(short events, const pg_limit& limit) noexcept {
  pollfd socket{PQsocket(handle_.get()), events, 0};
  if (socket.fd < 0) return pg_wait::lost;
  for (;;) {
    if (const auto news = limit.news(); news != pg_wait::ready) return news;
    const bool forever = limit.until.is_never() && !limit.is_watched();
    auto left = limit.until.remaining(system_clock_source().now());
    const bool late = left.count() == 0;  // then one look all the same
    if (limit.is_watched()) left = std::min(left, slice);
    const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(left);
    const timespec timeout{static_cast<time_t>(seconds.count()), static_cast<long>((left - seconds).count())};
    const int ready = ::ppoll(&socket, 1, forever ? nullptr : &timeout, nullptr);
    if (ready > 0) return pg_wait::ready;
    if (ready < 0 && errno != EINTR) return pg_wait::lost;
    if (late) return pg_wait::timed_out;
  }
}

bool pg_channel::readable() noexcept { return wait(POLLIN, {deadline::after(system_clock_source().now(), 0ns)}) == pg_wait::ready; }

pg_wait pg_channel::receive(short events, const pg_limit& limit) noexcept {
  const bool hidden = may_hide();
  // So before each wait there is a look at what lies there already. Something may still come between a look that finds the socket silent and one that
  // takes in a part of it, which is why the wait is a short one.
  looked_ = hidden && !looked_;
  if (!looked_) {
    auto bounded = limit;
    if (hidden) bounded.until = limit.until.sooner(deadline::after(system_clock_source().now(), hidden_for));
    const auto waited = wait(events, bounded);
    const bool again = hidden && waited == pg_wait::timed_out && !limit.until.passed(system_clock_source().now());
    if (waited != pg_wait::ready && !again) return waited;
  }
  return PQconsumeInput(handle_.get()) == 1 ? pg_wait::ready : pg_wait::lost;
}

void pg_channel::flush() noexcept {
  if (PQflush(handle_.get()) < 0) lost_ = true;
}

pg_wait pg_channel::next(const pg_limit& limit, pg_result& into) {
  auto* const connection = handle_.get();
  for (bool again{false};; again = true) {
    if (PQisBusy(connection) == 0) {
      into.reset(PQgetResult(connection));
      return !into && lost() ? pg_wait::lost : pg_wait::ready;
    }
    // A server that never stops sending is not waited for, and yet has to end.
    if (again && limit.until.passed(system_clock_source().now())) return pg_wait::timed_out;
    if (const auto news = limit.news(); again && news != pg_wait::ready) return news;
    const int unsent = PQflush(connection);
    const short events = unsent > 0 ? POLLIN | POLLOUT : POLLIN;
    if (const auto received = receive(events, limit); received == pg_wait::lost) {
      // What it has read before it failed may hold the reason, so what follows is another look.
      if (std::exchange(lost_, true)) return pg_wait::lost;
    } else if (received != pg_wait::ready) {
      return received;
    }
  }
}

bool pg_channel::peek() noexcept {
  auto* const connection = handle_.get();
  const int socket = PQsocket(connection);
  for (;;) {
    if (lost() || socket < 0) return false;
    char byte{0};
    const auto seen = ::recv(socket, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
    if (seen < 0 && errno == EINTR) continue;
    if (seen < 0 && errno == EAGAIN) return true;
    if (seen <= 0) return false;
    // An answer nobody has waited for, a parameter that changed, or last words.
    if (PQconsumeInput(connection) == 0) return false;
    (void)PQisBusy(connection);
  }
}

}  // namespace spillway::detail
