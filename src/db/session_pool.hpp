// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "db_driver.hpp"

#include <spillway/pool/pool.hpp>

#include <atomic>
#include <memory>
#include <mutex>
#include <vector>

namespace spillway::detail {

using session_lease = pool_lease<std::unique_ptr<db_connection>>;

/// Opens the sessions of one kind. Those that still work when the database ends are kept for the driver, which ends them in its own order; one
/// that is replaced before that ends at once, as the server would count it for as long as it is kept.
class session_connector final : public blocking_connector<std::unique_ptr<db_connection>> {
 public:
  session_connector(std::shared_ptr<db_driver> driver, session_kind kind) : driver_{std::move(driver)}, kind_{kind} {}

  result<std::unique_ptr<db_connection>, open_failure> open(deadline until) override;
  bool is_reusable(std::unique_ptr<db_connection>& session) noexcept override { return session->reusable(); }
  bool ping(std::unique_ptr<db_connection>& session, deadline until) override { return session->ping(until); }
  bool reset(std::unique_ptr<db_connection>& session) noexcept override { return session->usable(); }
  void close(std::unique_ptr<db_connection>& session) noexcept override;

  /// Of the openings that have failed the last, in the driver's words.
  [[nodiscard]] db_error last_failure() const;
  void keep_closed() noexcept { keeps_.store(true); }
  [[nodiscard]] std::vector<std::unique_ptr<db_connection>> take_closed();

 private:
  const std::shared_ptr<db_driver> driver_;
  const session_kind kind_;
  std::atomic<bool> keeps_{false};
  mutable std::mutex mutex_;
  db_error last_failure_;
  std::vector<std::unique_ptr<db_connection>> closed_;
};

/// The sessions of one kind, and the queue for them.
class session_pool {
 public:
  session_pool(const database_config& config, std::shared_ptr<db_driver> driver, session_kind kind, const boost::asio::any_io_executor& timers);

  [[nodiscard]] pool<std::unique_ptr<db_connection>>& sessions() noexcept { return pool_; }
  [[nodiscard]] const pool<std::unique_ptr<db_connection>>& sessions() const noexcept { return pool_; }
  /// In this module's terms; what the pool knows about a time-out becomes the message.
  [[nodiscard]] db_error error_of(const pool_error& refusal) const;
  /// To be called before the pool is drained: what is closed from now on is for `take_closed`.
  void keep_closed() noexcept { connector_->keep_closed(); }
  /// To be called when the pool is drained.
  [[nodiscard]] std::vector<std::unique_ptr<db_connection>> take_closed() { return connector_->take_closed(); }

 private:
  std::shared_ptr<session_connector> connector_;
  pool<std::unique_ptr<db_connection>> pool_;
};

}  // namespace spillway::detail
