// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "db_driver.hpp"

#include <spillway/db/detail/session_task.hpp>
#include <spillway/db/sql_query.hpp>

#include <boost/asio/any_completion_handler.hpp>

#include <atomic>
#include <utility>

namespace spillway::detail {

/// An `async_query` under way: for a source that knows no better, a function that runs the statement on a thread.
class query_operation final : public session_operation, private session_task {
 public:
  query_operation(sql_query query, query_handler handler) : query_{std::move(query)}, handler_{std::move(handler)} {}

  [[nodiscard]] const sql_query& query() const noexcept { return query_; }
  /// Nobody waits for it any more: it is to end as if it were cancelled, when that is noticed. From any thread.
  void abandon() noexcept { abandoned_.store(true, std::memory_order_relaxed); }
  [[nodiscard]] bool is_abandoned() const noexcept { return abandoned_.load(std::memory_order_relaxed); }
  void complete_with(result<row_set, db_error> rows) {
    auto handler = std::move(handler_);
    std::move(handler)(std::move(rows));
  }

  session_task& task() noexcept override { return *this; }
  boost::asio::any_completion_executor executor(const boost::asio::any_completion_executor& fallback) const noexcept override {
    return boost::asio::get_associated_executor(handler_, fallback);
  }
  boost::asio::cancellation_slot cancellation_slot() const noexcept override { return handler_.get_cancellation_slot(); }
  void complete(std::exception_ptr, db_error failure) override {
    if (failure.failed()) {
      complete_with(std::move(failure));
    } else {
      complete_with(std::move(rows_));
    }
  }

 private:
  task_verdict run(write_session& session) override {
    rows_ = static_cast<read_session&>(session).query(query_.sql(), sql_parameters{query_.values()});
    return {rows_.has_value(), rows_ ? error_code{} : rows_.error().code()};
  }

  sql_query query_;
  query_handler handler_;
  std::atomic<bool> abandoned_{false};
  result<row_set, db_error> rows_{db_errc::engine_error};
};

}  // namespace spillway::detail
