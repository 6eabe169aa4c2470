// SPDX-License-Identifier: Apache-2.0
#include "session_pool.hpp"

#include <string>
#include <utility>

namespace spillway::detail {

namespace {

pool_config config_of(const database_config& config, const db_driver& driver, session_kind kind) {
  pool_config sessions;
  sessions.name = config.name + (kind == session_kind::read ? "-read" : "-write");
  const auto kept = driver.sessions(kind);
  sessions.max = kept.max;
  sessions.min = kept.min;
  sessions.max_waiters = config.max_waiters;
  sessions.connect_timeout = kept.connect_timeout;
  sessions.idle_timeout = kept.idle_timeout;
  sessions.max_lifetime = kept.max_lifetime;
  sessions.ping_after_idle = kept.ping_after_idle;
  sessions.slow_acquire = config.slow_wait;
  sessions.leak_after = config.leak_after;
  sessions.log = config.log;
  return sessions;
}

}  // namespace

result<std::unique_ptr<db_connection>, open_failure> session_connector::open(deadline until) {
  auto opened = driver_->open(kind_, until);
  if (opened) return std::move(*opened);
  // Stays when a later one succeeds: whoever was refused because of it may ask only then.
  const std::scoped_lock lock{mutex_};
  last_failure_ = std::move(opened).error();
  return open_failure{last_failure_.code(), std::string{last_failure_.message()}};
}

void session_connector::close(std::unique_ptr<db_connection>& session) noexcept {
  if (!keeps_.load() || !session->usable()) return;
  const std::scoped_lock lock{mutex_};
  closed_.push_back(std::move(session));
}

db_error session_connector::last_failure() const {
  const std::scoped_lock lock{mutex_};
  return last_failure_;
}

std::vector<std::unique_ptr<db_connection>> session_connector::take_closed() {
  const std::scoped_lock lock{mutex_};
  return std::exchange(closed_, {});
}

session_pool::session_pool(const database_config& config, std::shared_ptr<db_driver> driver, session_kind kind,
                           const boost::asio::any_io_executor& timers)
    : connector_{std::make_shared<session_connector>(driver, kind)}, pool_{config_of(config, *driver, kind), connector_, timers} {}

db_error session_pool::error_of(const pool_error& refusal) const {
  const auto code = static_cast<pool_errc>(refusal.code().value());
  switch (code) {
    case pool_errc::exhausted: return db_errc::busy;
    case pool_errc::queue_full: return db_errc::queue_full;
    case pool_errc::cancelled: return db_errc::cancelled;
    case pool_errc::shutting_down: return db_errc::shutting_down;
    case pool_errc::timed_out: return {db_errc::timed_out, refusal.what()};
    case pool_errc::backend_down: break;
  }
  // Only the pool has seen some failures: an opening that does not end in time.
  const auto reason = refusal.reason();
  if (reason.category() != db_category()) return {db_errc::cannot_open, refusal.what()};
  // The driver's own error has the engine's code, too, unless another opening has failed since in another way.
  auto why = connector_->last_failure();
  if (why.code() == reason) return why;
  return {static_cast<db_errc>(reason.value()), std::string{refusal.reason_text()}};
}

}  // namespace spillway::detail
