// SPDX-License-Identifier: Apache-2.0
#include "session_source.hpp"

#include "session_call.hpp"

#include <boost/asio/post.hpp>
#include <boost/asio/use_future.hpp>

#include <array>
#include <future>
#include <utility>
#include <vector>

namespace spillway::detail {

session_source::~session_source() = default;

void give_back(db_driver& driver, session_lease session) {
  auto& connection = **session;
  if (!connection.needs_cleaning()) return;  // the lease gives it back
  auto cleaned = [lease = std::move(session)]() mutable { lease.release(); };
  driver.clean(connection, std::move(cleaned));
}

namespace {

class driver_source final : public session_source {
 public:
  driver_source(const database_config& config, std::unique_ptr<db_driver> driver) : config_{config}, driver_{std::move(driver)} {}

  std::string_view system_name() const noexcept override { return driver_->system_name(); }
  std::string_view probe_sql() const noexcept override { return driver_->probe_sql(); }
  std::size_t most_sessions() const noexcept override { return driver_->sessions(session_kind::read).max + driver_->sessions(session_kind::write).max; }

  result<void, db_error> open(const boost::asio::any_io_executor& timers) override {
    // The writer first: it makes the database.
    for (const auto kind : {session_kind::write, session_kind::read}) {
      auto& sessions = of(kind).emplace(config_, driver_, kind, timers);
      if (const auto warm = sessions.sessions().warm_up_for(std::chrono::nanoseconds::max()); !warm) return sessions.error_of(warm.error());
    }
    return {};
  }

  session_step next(session_search& search) override { return {.pool = &*of(search.kind)}; }
  bool refused(session_search&, const pool_error&) override { return false; }
  bool accept(session_search&, session_lease&) override { return true; }
  void ended(const session_search& search, session_lease session, transaction_end& end) noexcept override {
    if (end.failure == db_errc::commit_unknown) driver_->resolve(**session, end, search.until);
    give_back(*driver_, std::move(session));
  }

  // No step says to wait.
  void wait(const session_step&) override {}
  void async_wait(const session_step&, const boost::asio::any_io_executor& threads, boost::asio::any_completion_handler<void()> handler) override {
    boost::asio::post(threads, std::move(handler));
  }

  bool async_query(const std::shared_ptr<query_operation>& operation, const session_options&, deadline until) override {
    return driver_->async_query(operation, until);
  }

  bool is_own_thread() const noexcept override { return driver_->is_own_thread(); }

  void drain() override {
    driver_->drain();
    std::vector<std::future<result<void, pool_error>>> drained;
    for (auto* one : {&reads_, &writes_}) {
      if (!*one) continue;
      (*one)->keep_closed();
      drained.push_back((*one)->sessions().async_drain(std::chrono::nanoseconds::max(), boost::asio::use_future));
    }
    for (auto& each : drained) (void)each.get();
  }

  result<void, db_error> close() override {
    const auto closed_of = [](std::optional<session_pool>& one) {
      return one ? one->take_closed() : std::vector<std::unique_ptr<db_connection>>{};
    };
    return driver_->close(closed_of(reads_), closed_of(writes_));
  }

  pool_stats stats_of(session_kind kind) const override { return (kind == session_kind::read ? reads_ : writes_)->sessions().stats(); }
  statement_cache_stats cache_stats() const noexcept override { return driver_->cache_stats(); }

 private:
  std::optional<session_pool>& of(session_kind kind) noexcept { return kind == session_kind::read ? reads_ : writes_; }

  const database_config config_;
  const std::shared_ptr<db_driver> driver_;  // an opening that hangs may outlive this
  std::optional<session_pool> reads_;
  std::optional<session_pool> writes_;
};

}  // namespace

std::shared_ptr<session_source> source_of(const database_config& config, std::unique_ptr<db_driver> driver) {
  return std::make_shared<driver_source>(config, std::move(driver));
}

}  // namespace spillway::detail
