// SPDX-License-Identifier: Apache-2.0
/// @file
/// One logical database spread over several by a key, and reads that ask all of them at once.
#pragma once

#include <spillway/core/export.hpp>
#include <spillway/db/database.hpp>
#include <spillway/db/detail/scatter_state.hpp>
#include <spillway/db/scatter_result.hpp>
#include <spillway/db/shard_key.hpp>

#include <boost/asio/async_result.hpp>

#include <cstddef>
#include <exception>
#include <memory>
#include <utility>
#include <vector>

namespace spillway {

namespace detail {
/// The same with a deadline in `until` alone, and without what belongs to one database.
[[nodiscard]] SPILLWAY_EXPORT session_options scatter_options(const session_options& options);
}  // namespace detail

/// The databases that share one set of tables, each with the rows whose key hashes to it.
///
///     shard_map shards{std::move(databases)};
///     shards.on(tenant).write([&](write_session& s) { return s.execute("INSERT INTO item ...", tenant, name); });
///     auto counts = shards.scatter([](read_session& s) { return s.query_one<std::int64_t>("SELECT count(*) FROM item"); }, 500ms);
///     auto total = sum(std::move(counts).all().value());
///
/// The hash is that of PostgreSQL's PARTITION BY HASH, so a partition of one server can become a shard, and a server can check in SQL where a
/// key belongs. No transaction spans shards: what must change together needs the same key. To grow, double: see `moves_when_doubled` and
/// the guide.
///
/// `scatter` runs a read on all shards at once and returns when all have answered or at the deadline, whichever is sooner: a shard that hangs
/// costs its own answer and nothing else. The function is copied once and called once for each shard, at the same time on several threads;
/// on a shard that is late it may still run when `scatter` has returned, so let it capture by value, or what lives as long as the map.
///
/// Threads:      every member may be called from any thread.
/// Lifetime:     as of `database`; the map is destroyed after every function that may still run on its shards.
/// Errors:       the constructor throws std::invalid_argument unless there are 1 to 1,024 shards. What the function throws on some shard passes to
///               the caller, unless it is a db_exception.
/// Time:         one deadline for all shards: 5 s, unless the call says otherwise. `session_options.token` is left out: each shard has its own.
/// Cancellation: `async_scatter` honours none: its deadline ends it.
class SPILLWAY_EXPORT shard_map {
 public:
  explicit shard_map(std::vector<database> shards);

  [[nodiscard]] std::size_t size() const noexcept { return shards_.size(); }
  [[nodiscard]] std::size_t shard_of(shard_key key) const noexcept { return key.shard_of(shards_.size()); }
  [[nodiscard]] database& on(shard_key key) noexcept { return shards_[shard_of(key)]; }
  /// Errors: throws std::out_of_range.
  [[nodiscard]] database& at(std::size_t shard) { return shards_.at(shard); }

  /// Blocks the thread. Not from inside a function that runs on one of the shards: it would wait for its own session.
  template <class F>
  auto scatter(F function, const session_options& options = {}) {
    using state_type = detail::scatter_state<F>;
    const auto state = std::make_shared<state_type>(std::move(function), shards_.size());
    const auto until = ask(state, options);
    return state->wait(until);
  }

  /// Completes on the handler's executor with `void(std::exception_ptr, scatter_result<T>)`. Name a lambda first (g++ 12).
  template <class F, class Token>
  auto async_scatter(F function, const session_options& options, Token&& token) {
    using state_type = detail::scatter_state<F>;
    return boost::asio::async_initiate<Token, void(std::exception_ptr, typename state_type::answer)>(
        [this](auto handler, F f, const session_options& chosen) {
          const auto executor = detail::io_executor_of(handler);
          const auto state = std::make_shared<state_type>(std::move(f), shards_.size());
          state->complete_with(std::move(handler));
          const auto until = ask(state, chosen);
          state->end_at(executor, until);
        },
        token, std::move(function), options);
  }

  /// Closes all shards, and returns the first error.
  result<void, db_error> close();

 private:
  template <class State>
  deadline ask(const std::shared_ptr<State>& state, const session_options& options) {
    auto each = detail::scatter_options(options);
    for (std::size_t i = 0; i < shards_.size(); ++i) {
      auto task = [state](read_session& session) { return state->run(session); };
      shards_[i].async_read(std::move(task), each, [state, i](std::exception_ptr thrown, typename State::outcome outcome) {
        state->answered(i, std::move(thrown), std::move(outcome));
      });
    }
    return each.until;
  }

  std::vector<database> shards_;
};

}  // namespace spillway
