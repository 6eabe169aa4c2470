// SPDX-License-Identifier: Apache-2.0
/// @file
/// One question put to several databases, from the asking to the answer.
#pragma once

#include <spillway/core/deadline.hpp>
#include <spillway/core/export.hpp>
#include <spillway/db/detail/session_task.hpp>
#include <spillway/db/scatter_result.hpp>

#include <boost/asio/any_completion_executor.hpp>
#include <boost/asio/any_completion_handler.hpp>
#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/associated_executor.hpp>
#include <boost/asio/dispatch.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/system_executor.hpp>

#include <condition_variable>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <type_traits>
#include <utility>
#include <vector>

namespace spillway::detail {

/// Calls a function at a time, unless it is stopped before. Both members from any thread, one at a time.
class SPILLWAY_EXPORT scatter_timer {
 public:
  scatter_timer();
  ~scatter_timer();
  void start(const boost::asio::any_io_executor& executor, time_point at, std::function<void()> function);
  void stop() noexcept;

 private:
  struct body;
  std::unique_ptr<body> body_;
};

/// Where a timer for a handler can run.
template <class Handler>
boost::asio::any_io_executor io_executor_of(const Handler& handler) {
  const auto executor = boost::asio::get_associated_executor(handler, boost::asio::system_executor{});
  if constexpr (std::is_constructible_v<boost::asio::any_io_executor, decltype(executor)>) {
    return boost::asio::any_io_executor{executor};
  } else {
    return boost::asio::system_executor{};
  }
}

/// Shared by the one who asked and the calls on the shards; what comes after the end is dropped.
template <class F>
class scatter_state : public std::enable_shared_from_this<scatter_state<F>> {
 public:
  static_assert(std::is_invocable_v<const F&, read_session&>,
                "the function is called on several threads at once: it must be callable when const, with read_session&");
  using returned = std::invoke_result_t<const F&, read_session&>;
  using outcome = typename task_outcome<returned>::type;
  using answer = scatter_result<typename outcome::value_type>;
  using handler_type = boost::asio::any_completion_handler<void(std::exception_ptr, answer)>;

  scatter_state(F function, std::size_t shards) : function_{std::move(function)}, outcomes_(shards), thrown_(shards), missing_{shards} {}

  /// On a thread of one shard.
  outcome run(read_session& session) const {
    if (std::lock_guard lock{mutex_}; ended_) return outcome{outcome::in_place_error, db_errc::timed_out};
    if constexpr (std::is_void_v<returned>) {
      std::invoke(function_, session);
      return outcome{};
    } else if constexpr (std::is_same_v<returned, outcome>) {
      return std::invoke(function_, session);
    } else {
      return outcome{outcome::in_place_value, std::invoke(function_, session)};
    }
  }

  void answered(std::size_t shard, std::exception_ptr thrown, outcome given) {
    std::unique_lock lock{mutex_};
    if (ended_) return;
    outcomes_[shard].emplace(std::move(given));
    thrown_[shard] = std::move(thrown);
    if (--missing_ == 0) end(std::move(lock));
  }

  /// Blocks until all have answered or it is too late. Throws what the function threw.
  answer wait(deadline until) {
    std::unique_lock lock{mutex_};
    const auto all_answered = [this] { return ended_; };
    if (until.is_never()) {
      all_answered_.wait(lock, all_answered);
    } else {
      all_answered_.wait_until(lock, until.at(), all_answered);
    }
    ended_ = true;
    if (auto thrown = take_thrown()) std::rethrow_exception(std::move(thrown));
    return collected();
  }

  /// Before the shards are asked.
  void complete_with(handler_type handler) {
    handler_.emplace(std::move(handler));
    work_.emplace(boost::asio::get_associated_executor(*handler_, boost::asio::any_completion_executor{boost::asio::system_executor{}}));
  }

  void end_at(const boost::asio::any_io_executor& executor, deadline until) {
    const std::lock_guard lock{mutex_};
    if (ended_ || until.is_never()) return;
    timer_.start(executor, until.at(), [state = this->weak_from_this()] {
      if (const auto self = state.lock()) self->late();
    });
  }

 private:
  void late() {
    std::unique_lock lock{mutex_};
    if (!ended_) end(std::move(lock));
  }

  void end(std::unique_lock<std::mutex> lock) {
    ended_ = true;
    timer_.stop();
    all_answered_.notify_all();
    if (!handler_) return;
    auto call = [handler = std::move(*handler_), thrown = take_thrown(), all = collected()]() mutable {
      handler(std::move(thrown), std::move(all));
    };
    handler_.reset();
    const auto work = std::move(*work_);
    work_.reset();
    lock.unlock();
    boost::asio::dispatch(work.get_executor(), std::move(call));
  }

  /// The first, which belongs to the caller alone from now on: threads of shards may end later than he is done with it.
  [[nodiscard]] std::exception_ptr take_thrown() noexcept {
    for (auto& thrown : thrown_) {
      if (thrown) return std::exchange(thrown, {});
    }
    return {};
  }

  [[nodiscard]] answer collected() {
    std::vector<outcome> all;
    all.reserve(outcomes_.size());
    for (auto& given : outcomes_) {
      if (given) {
        all.push_back(std::move(*given));
      } else {
        all.emplace_back(outcome::in_place_error, db_error{db_errc::timed_out, "no answer by the deadline"});
      }
    }
    return answer{std::move(all)};
  }

  const F function_;
  mutable std::mutex mutex_;
  std::condition_variable all_answered_;
  std::vector<std::optional<outcome>> outcomes_;
  std::vector<std::exception_ptr> thrown_;
  std::size_t missing_;
  bool ended_{false};
  scatter_timer timer_;
  std::optional<handler_type> handler_;
  std::optional<boost::asio::executor_work_guard<boost::asio::any_completion_executor>> work_;
};

}  // namespace spillway::detail
