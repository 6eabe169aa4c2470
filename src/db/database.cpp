// SPDX-License-Identifier: Apache-2.0
#include <spillway/db/database.hpp>

#include "database_state.hpp"
#include "query_operation.hpp"

#include <thread>
#include <utility>

namespace spillway {

namespace detail {

void start_operation(const std::shared_ptr<database_state>& state, session_kind kind, bool again, std::shared_ptr<session_operation> operation,
                     const session_options& options) {
  state->start(kind, again, std::move(operation), options);
}

void start_query(const std::shared_ptr<database_state>& state, sql_query query, const session_options& options, query_handler handler) {
  state->start_query(std::make_shared<query_operation>(std::move(query), std::move(handler)), options);
}

std::shared_ptr<session_source> database_access::source(const database& db) noexcept { return {db.state_, &db.state_->source()}; }

result<database, db_error> open_database(const database_config& config, std::shared_ptr<session_source> source) {
  auto state = std::make_shared<database_state>(config, std::move(source));
  if (const auto opened = state->open(); !opened) return opened.error();
  return database{std::move(state)};
}

result<database, db_error> open_database(const database_config& config, std::unique_ptr<db_driver> driver) {
  return open_database(config, source_of(config, std::move(driver)));
}

}  // namespace detail

namespace {

void close_last(std::shared_ptr<detail::database_state> state) {
  if (!state) return;
  if (const auto closed = state->close(); closed || closed.error() != db_errc::would_deadlock) return;
  // This thread is waited for by closing, so another one has to do it.
  std::thread{[state = std::move(state)] { (void)state->close(); }}.detach();
}

}  // namespace

database::database(std::shared_ptr<detail::database_state> state) noexcept : state_{std::move(state)} {}
database::database(database&&) noexcept = default;

database& database::operator=(database&& other) noexcept {
  if (this == &other) return *this;
  close_last(std::exchange(state_, std::move(other.state_)));
  return *this;
}

database::~database() { close_last(std::move(state_)); }

db_error database::run(detail::session_kind kind, detail::session_task& task, const session_options& options, bool may_wait) {
  auto end = state_->run(kind, task, options, {.may_wait = may_wait});
  if (end.thrown) std::rethrow_exception(end.thrown);
  return std::move(end.failure);
}

db_error database::run_again(detail::session_kind kind, detail::session_task& task, const session_options& options) {
  auto end = state_->run_again(kind, task, options);
  if (end.thrown) std::rethrow_exception(end.thrown);
  return std::move(end.failure);
}

result<row_set, db_error> database::query(const sql_query& query, const session_options& options) { return state_->query(query, options); }

result<void, db_error> database::ping(const session_options& options) { return state_->ping(options); }

std::function<result<void, db_error>(const session_options&)> database::pinger() const {
  return [state = state_](const session_options& options) { return state->ping(options); };
}

result<void, db_error> database::close() { return state_->close(); }
std::string_view database::system_name() const noexcept { return state_->system_name(); }
database_stats database::stats() const { return state_->stats(); }

}  // namespace spillway
