// SPDX-License-Identifier: Apache-2.0
// What is known of a cluster, kept up to date.
#pragma once

#include "cluster_probe.hpp"
#include "route_core.hpp"

#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <random>
#include <thread>
#include <utility>
#include <vector>

namespace spillway::detail {

/// A router's core under a lock, and the threads that probe its nodes: one for each, so that a node that hangs holds up no other, and one that
/// tells them when.
///
/// Threads: any. Lock order: the mutex comes last; nothing is called under it but the core.
class cluster_watch {
 public:
  struct watched {
    routing_node node;
    pg_conninfo info;
  };
  /// `changed` is called on the watch's own thread, for each change in its turn.
  cluster_watch(const routing_config& config, const std::vector<watched>& nodes, std::function<void(const route_change&)> changed);
  ~cluster_watch();
  cluster_watch(const cluster_watch&) = delete;
  cluster_watch& operator=(const cluster_watch&) = delete;

  void start();
  /// Ends the threads, and every wait. May be called again.
  void stop();

  /// Does something with the core: `function(core, random)`.
  template <class F>
  auto with(F&& function) {
    const std::lock_guard lock{mutex_};
    if constexpr (std::is_void_v<std::invoke_result_t<F&, route_core&, std::uint64_t>>) {
      function(core_, random_());
      notice();
    } else {
      auto answer = function(core_, random_());
      notice();
      return answer;
    }
  }

  /// Ends every wait that there is.
  void wake();

  /// Changes with the primary, the epoch and the system.
  [[nodiscard]] std::uint64_t version() const;
  /// Until the version is not `seen` any more, or `until`, or the end.
  void wait(std::uint64_t seen, time_point until);
  /// Until the system is known and every node has answered or failed once; the answer is whether that was before `until`.
  bool wait_for_all(time_point until);

  [[nodiscard]] const std::string& name(node_index node) const { return probers_[node]->name; }
  /// What a primary has said when it was a standby, last of all; a timeline of 0 if it was never seen as one since it was known.
  [[nodiscard]] probe_answer last_as_standby(node_index node) const;
  /// Of its last probe, if that failed.
  [[nodiscard]] db_error last_failure(node_index node) const;

 private:
  struct prober {
    explicit prober(const watched& node) : name{node.node.name}, probe{node.info} {}
    const std::string name;
    cluster_probe probe;
    std::condition_variable asked;
    bool due{false};
    bool heard{false};
    db_error last_failure;
    probe_answer as_standby;
    std::thread thread;
  };

  void conduct();
  void ask(node_index node);
  /// Under the lock, after anything was done with the core.
  void notice();

  const routing_config config_;
  const std::function<void(const route_change&)> changed_;
  std::vector<std::unique_ptr<prober>> probers_;

  mutable std::mutex mutex_;  // guards all that follows, and what the probers hold but for `probe`
  route_core core_;
  std::mt19937_64 random_;
  std::condition_variable conductor_;
  std::condition_variable news_;
  std::vector<route_change> changes_;
  time_point planned_{time_point::max()};
  std::uint64_t version_{0};
  std::uint64_t seen_epoch_{0};
  std::optional<node_index> seen_primary_;
  std::optional<std::uint64_t> seen_system_;
  bool stopped_{false};
  std::thread thread_;
};

}  // namespace spillway::detail
