// SPDX-License-Identifier: Apache-2.0
/// @file
/// How a function of any type, and a handler of any type, reach the compiled body of `database`.
#pragma once

#include <spillway/core/export.hpp>
#include <spillway/db/session.hpp>

#include <boost/asio/any_completion_executor.hpp>
#include <boost/asio/any_completion_handler.hpp>
#include <boost/asio/associated_cancellation_slot.hpp>
#include <boost/asio/associated_executor.hpp>
#include <boost/asio/async_result.hpp>

#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <type_traits>
#include <utility>

namespace spillway::detail {

class database_state;

enum class session_kind : std::uint8_t { read, write };

template <class T>
inline constexpr bool is_result{false};
template <class T, class E>
inline constexpr bool is_result<result<T, E>>{true};

template <class T>
struct task_outcome {
  using type = result<T, db_error>;
};
template <class T>
struct task_outcome<result<T, db_error>> {
  using type = result<T, db_error>;
};

/// What the caller's function wants to become of its transaction, and why if it is an error of this module.
struct task_verdict {
  bool commit;
  error_code why;
};

/// The caller's function, to be called once with a session.
class SPILLWAY_EXPORT session_task {
 public:
  virtual ~session_task();
  /// Throws what the function throws.
  virtual task_verdict run(write_session& session) = 0;
};

template <class Session, class F>
class function_task final : public session_task {
 public:
  static_assert(std::is_invocable_v<F&, Session&>, "the function must be callable with read_session& (read) or write_session& (write)");
  using returned = std::invoke_result_t<F&, Session&>;
  static_assert(!std::is_reference_v<returned> && !std::is_same_v<returned, row_view> && !borrows_from_row<returned>,
                "what the function returns would point into a session that is gone: return a value");
  using outcome_type = typename task_outcome<returned>::type;

  template <class G>
  explicit function_task(G&& function) : function_{std::forward<G>(function)} {}

  task_verdict run(write_session& session) override {
    auto& narrowed = static_cast<Session&>(session);
    if constexpr (std::is_void_v<returned>) {
      std::invoke(function_, narrowed);
      outcome_.emplace();
      return {true, {}};
    } else if constexpr (is_result<returned>) {
      auto given = std::invoke(function_, narrowed);
      task_verdict verdict{given.has_value(), {}};
      if constexpr (std::is_same_v<returned, outcome_type>) {
        if (!verdict.commit) verdict.why = given.error().code();
        outcome_.emplace(std::move(given));
      } else {
        outcome_.emplace(outcome_type::in_place_value, std::move(given));
      }
      return verdict;
    } else {
      outcome_.emplace(outcome_type::in_place_value, std::invoke(function_, narrowed));
      return {true, {}};
    }
  }

  /// What the function returned, unless something else failed.
  outcome_type outcome(db_error failure) && {
    if (failure.failed()) return outcome_type{outcome_type::in_place_error, std::move(failure)};
    return std::move(*outcome_);
  }

 private:
  F function_;
  std::optional<outcome_type> outcome_;
};

/// An asynchronous call under way.
class SPILLWAY_EXPORT session_operation {
 public:
  virtual ~session_operation();
  virtual session_task& task() noexcept = 0;
  virtual boost::asio::any_completion_executor executor(const boost::asio::any_completion_executor& fallback) const noexcept = 0;
  virtual boost::asio::cancellation_slot cancellation_slot() const noexcept = 0;
  /// Calls the handler. Once.
  virtual void complete(std::exception_ptr thrown, db_error failure) = 0;
};

template <class Outcome>
using session_handler = boost::asio::any_completion_handler<void(std::exception_ptr, Outcome)>;

template <class Task>
class async_session_operation final : public session_operation {
 public:
  using handler_type = session_handler<typename Task::outcome_type>;

  template <class F>
  async_session_operation(F&& function, handler_type handler) : task_{std::forward<F>(function)}, handler_{std::move(handler)} {}

  session_task& task() noexcept override { return task_; }
  boost::asio::any_completion_executor executor(const boost::asio::any_completion_executor& fallback) const noexcept override {
    return boost::asio::get_associated_executor(handler_, fallback);
  }
  boost::asio::cancellation_slot cancellation_slot() const noexcept override { return handler_.get_cancellation_slot(); }
  void complete(std::exception_ptr thrown, db_error failure) override {
    auto handler = std::move(handler_);
    handler(std::move(thrown), std::move(task_).outcome(std::move(failure)));
  }

 private:
  Task task_;
  handler_type handler_;
};

}  // namespace spillway::detail
