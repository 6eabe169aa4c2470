// SPDX-License-Identifier: Apache-2.0
/// @file
/// Resources that are dear to make, lent to one caller at a time, in the order in which callers came.
#pragma once

#include <spillway/core/export.hpp>
#include <spillway/core/io_runner.hpp>
#include <spillway/pool/detail/pool_state.hpp>
#include <spillway/pool/pool_config.hpp>
#include <spillway/pool/pool_connector.hpp>
#include <spillway/pool/pool_error.hpp>
#include <spillway/pool/pool_stats.hpp>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/associated_allocator.hpp>
#include <boost/asio/associated_cancellation_slot.hpp>
#include <boost/asio/associated_executor.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/bind_allocator.hpp>
#include <boost/asio/execution/outstanding_work.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/prefer.hpp>

#include <chrono>
#include <cstddef>
#include <memory>
#include <source_location>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace spillway {

/// A resource on loan. Its destructor gives it back.
///
/// Threads:  one at a time; may be moved to another thread.
/// Lifetime: may outlive the pool; then the resource is closed when it comes back.
template <class Resource>
class pool_lease {
 public:
  pool_lease() noexcept = default;
  explicit pool_lease(detail::pool_slot& slot) noexcept : slot_{&slot} {}
  pool_lease(pool_lease&& other) noexcept : slot_{std::exchange(other.slot_, nullptr)} {}
  pool_lease& operator=(pool_lease&& other) noexcept {
    if (this != &other) {
      release();
      slot_ = std::exchange(other.slot_, nullptr);
    }
    return *this;
  }
  ~pool_lease() { release(); }

  [[nodiscard]] Resource& operator*() const noexcept { return *static_cast<Resource*>(detail::resource_of(*slot_)); }
  [[nodiscard]] Resource* operator->() const noexcept { return &**this; }
  [[nodiscard]] explicit operator bool() const noexcept { return slot_ != nullptr; }
  /// Since it was lent.
  [[nodiscard]] std::chrono::nanoseconds age() const noexcept { return detail::age_of(*slot_); }

  /// Gives the resource back now. Does nothing without one.
  void release() noexcept {
    if (auto* const slot = std::exchange(slot_, nullptr)) detail::give_back(*slot, true);
  }
  /// Gives it straight to the first who waits for one, as it is: without `reset`. False, and it is kept, if nobody does: then there is no need to be
  /// quick, and whoever has something to leave behind for the next holder knows that there is one.
  bool hand_over() noexcept {
    if (slot_ == nullptr || !detail::hand_over(*slot_)) return false;
    slot_ = nullptr;
    return true;
  }
  /// Gives it back to be closed: it is broken, or in a state nobody else should see.
  void discard() noexcept {
    if (auto* const slot = std::exchange(slot_, nullptr)) detail::give_back(*slot, false);
  }

 private:
  detail::pool_slot* slot_{nullptr};
};

/// What does not depend on the type of the resource.
class SPILLWAY_EXPORT pool_base {
 public:
  pool_base(const pool_base&) = delete;
  pool_base& operator=(const pool_base&) = delete;

  /// Until `min` and `min_idle` are met, or an opening fails from now on. Errors: backend_down with the reason, timed_out, shutting_down.
  result<void, pool_error> warm_up_for(std::chrono::nanoseconds timeout);
  /// Refuses new callers and all who wait, closes what is idle and, as it comes back, what is lent; until nothing is open. Safe to call again.
  /// Errors: timed_out, with those who still have something in `holders`.
  result<void, pool_error> drain_for(std::chrono::nanoseconds timeout);
  /// As the two above, with the signature `void(result<void, pool_error>)`. Posted to the handler's executor, without one to the pool's. Not
  /// cancellable: the timeout bounds them.
  template <class Token>
  auto async_warm_up(std::chrono::nanoseconds timeout, Token&& token) {
    return async_milestone(false, timeout, token);
  }
  template <class Token>
  auto async_drain(std::chrono::nanoseconds timeout, Token&& token) {
    return async_milestone(true, timeout, token);
  }

  /// New bounds, at once; what is too many is closed as it becomes idle. Errors: what `validate` says.
  result<void, std::string> resize(std::size_t min, std::size_t max);
  /// Closes everything opened so far, what is lent when it comes back, what is being opened when it is there: after a failover, say.
  void invalidate();

  [[nodiscard]] pool_stats stats() const;
  /// Who has a resource, those who had theirs longest first.
  [[nodiscard]] std::vector<pool_holder> holders() const;
  [[nodiscard]] const std::string& name() const noexcept;

  /// Does what is due. A timer does that; with pool_config::clock, and so in tests, it is for the owner of the clock to call.
  void tick();

 protected:
  pool_base(const pool_config& config, std::unique_ptr<detail::erased_connector> connector, const boost::asio::any_io_executor& executor);
  /// With a thread of its own for the timer.
  pool_base(const pool_config& config, std::unique_ptr<detail::erased_connector> connector);
  ~pool_base();

  std::unique_ptr<io_runner> runner_;
  std::shared_ptr<detail::pool_state> state_;

 private:
  template <class Token>
  auto async_milestone(bool drained, std::chrono::nanoseconds timeout, Token& token) {
    return boost::asio::async_initiate<Token, void(result<void, pool_error>)>(
        [this, drained, timeout](auto handler) { start_milestone(drained, timeout, std::move(handler)); }, token);
  }
  void start_milestone(bool drained, std::chrono::nanoseconds timeout, detail::pool_milestone_handler handler);
};

namespace detail {
template <class Resource, class Handler>
class lease_waiter;
}

/// A pool of `Resource`, any movable type.
///
///     pool<connection> connections{config, std::make_shared<my_connector>()};
///     if (auto lease = connections.acquire(500ms)) (*lease)->send("hello");
///     else log(lease.error().what());
///
/// Callers that block and coroutines wait in one queue and are served in the order they came; a resource that comes back goes straight to
/// the first of them, so nobody who asks later can take it on the way. What is idle is lent last in, first out, so that few stay warm.
/// Waiting callers need not open what they wait for: at most `max_connecting` resources are opened at a time, by the pool, and whoever is
/// first in the queue gets whatever comes first.
///
/// Threads:      every member may be called from any thread, but the destructor from none that runs the pool's own executor.
/// Lifetime:     destroying the pool refuses those who wait and closes what is idle. Leases may outlive it. `executor` must live until the pool
///               is destroyed and handlers that have no executor of their own were called; the connector is shared.
/// Errors:       the constructor throws std::invalid_argument (see `validate`). Refusals say why, see pool_error. Who asks while he has a lease
///               waits for himself if all others do the same: keep `max` above (threads x (leases at a time - 1)), or ask once. The time-out of
///               a thread that did so has the cause `nested`.
/// Time:         one deadline a call.
/// Cancellation: `async_acquire` honours all types, in the queue; what was granted meanwhile goes to the next in the queue.
/// Cost:         without contention two atomic operations on a cache line of the thread's own and two readings of the clock, no lock and no
///               allocation; waiting is a lock and, asynchronous, one allocation from the handler's allocator.
template <class Resource>
class pool : public pool_base {
 public:
  using lease = pool_lease<Resource>;

  pool(const pool_config& config, std::shared_ptr<pool_connector<Resource>> connector, const boost::asio::any_io_executor& executor)
      : pool_base{config, erase(std::move(connector)), executor} {}
  pool(const pool_config& config, std::shared_ptr<blocking_connector<Resource>> connector, const boost::asio::any_io_executor& executor)
      : pool_base{config, erase(threaded(std::move(connector))), executor} {}
  /// With a thread of its own, for its timer. Handlers without an executor are then called on Asio's system executor.
  pool(const pool_config& config, std::shared_ptr<pool_connector<Resource>> connector) : pool_base{config, erase(std::move(connector))} {}
  pool(const pool_config& config, std::shared_ptr<blocking_connector<Resource>> connector)
      : pool_base{config, erase(threaded(std::move(connector)))} {}

  /// A resource now, or the code that says why not. Never waits.
  [[nodiscard]] result<lease, pool_errc> try_acquire(const acquire_options& options = {}) {
    pool_errc why{};
    if (auto* const slot = detail::try_acquire(*state_, options, why)) return lease{*slot};
    return why;
  }

  /// A resource, waiting for it on this thread.
  [[nodiscard]] result<lease, pool_error> acquire(const acquire_options& options = {}) {
    if (auto* const slot = detail::acquire_at_once(*state_, options)) return lease{*slot};
    auto slot = detail::acquire(*state_, options);
    if (!slot) return std::move(slot).error();
    return lease{**slot};
  }
  template <class Rep, class Period>
  [[nodiscard]] result<lease, pool_error> acquire_for(std::chrono::duration<Rep, Period> timeout,
                                                      std::source_location asked_at = std::source_location::current()) {
    return acquire(acquire_options{timeout, asked_at});
  }

  /// A resource, without blocking; signature `void(result<pool_lease<Resource>, pool_error>)`. The handler is called on its executor, without
  /// one on the pool's, and never within this call.
  template <class Token>
  auto async_acquire(const acquire_options& options, Token&& token) {
    return boost::asio::async_initiate<Token, void(result<lease, pool_error>)>(
        [state = state_](auto handler, const acquire_options& asked) {
          detail::lease_waiter<Resource, decltype(handler)>::start(state, std::move(handler), asked);
        },
        token, options);
  }

 private:
  template <class Connector>
  static std::shared_ptr<Connector> present(std::shared_ptr<Connector> connector) {
    if (!connector) throw std::invalid_argument{"pool: the connector is null"};
    return connector;
  }
  static std::unique_ptr<detail::erased_connector> erase(std::shared_ptr<pool_connector<Resource>> connector) {
    return std::make_unique<detail::connector_of<Resource>>(present(std::move(connector)));
  }
  static std::shared_ptr<pool_connector<Resource>> threaded(std::shared_ptr<blocking_connector<Resource>> connector) {
    return std::make_shared<detail::threaded_connector<Resource>>(present(std::move(connector)));
  }
};

/// Describes a pool to a metric_writer under the name given; see docs/guide/pool.md for the metrics.
template <class Resource>
void write_metrics(const pool<Resource>& source, std::string_view name, metric_writer& out) {
  detail::write_pool_metrics(source.stats(), name, out);
}

namespace detail {

/// A handler in the queue.
template <class Resource, class Handler>
class lease_waiter final : public async_waiter {
 public:
  using outcome = result<pool_lease<Resource>, pool_error>;

  static void start(const std::shared_ptr<pool_state>& state, Handler handler, const acquire_options& options) {
    const auto fallback = fallback_executor(*state);
    if (auto* const slot = acquire_at_once(*state, options)) {
      complete(std::move(handler), fallback, outcome{pool_lease<Resource>{*slot}});
      return;
    }
    const auto slot = boost::asio::get_associated_cancellation_slot(handler);
    const auto allocator = boost::asio::get_associated_allocator(handler);
    start_acquire(state, options, std::allocate_shared<lease_waiter>(allocator, std::move(handler), fallback), slot);
  }

  lease_waiter(Handler handler, const boost::asio::any_io_executor& fallback)
      : handler_{std::move(handler)}, fallback_{fallback}, work_{tracked(boost::asio::get_associated_executor(handler_, fallback))} {}

  void granted(std::shared_ptr<async_waiter> self, pool_slot& slot) override { finish(std::move(self), outcome{pool_lease<Resource>{slot}}); }
  void refused(std::shared_ptr<async_waiter> self, pool_error why) override { finish(std::move(self), outcome{std::move(why)}); }

 private:
  /// The handler's executor, kept from running dry.
  template <class Executor>
  static auto tracked(const Executor& executor) {
    return boost::asio::prefer(executor, boost::asio::execution::outstanding_work.tracked);
  }
  using executor_type = boost::asio::associated_executor_t<Handler, boost::asio::any_io_executor>;
  using tracked_executor = decltype(tracked(std::declval<const executor_type&>()));

  // Posted, never called here: this may be the thread of whoever gave the resource back, or inside the initiating function.
  static void complete(Handler handler, const boost::asio::any_io_executor& fallback, outcome what) {
    const auto executor = boost::asio::get_associated_executor(handler, fallback);
    const auto allocator = boost::asio::get_associated_allocator(handler);
    auto call = [handler = std::move(handler), what = std::move(what)]() mutable {
      auto called = std::move(handler);
      std::move(called)(std::move(what));
    };
    boost::asio::post(executor, boost::asio::bind_allocator(allocator, std::move(call)));
  }
  void finish(std::shared_ptr<async_waiter> self, outcome what) {
    const auto work = std::move(work_);  // until the call is posted
    const auto fallback = std::move(fallback_);
    auto handler = std::move(handler_);
    self.reset();
    complete(std::move(handler), fallback, std::move(what));
  }

  Handler handler_;
  boost::asio::any_io_executor fallback_;
  tracked_executor work_;
};

}  // namespace detail
}  // namespace spillway
