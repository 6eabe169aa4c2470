// SPDX-License-Identifier: Apache-2.0
/// @file
/// Hears what is said with NOTIFY.
#pragma once

#include <spillway/core/backoff.hpp>
#include <spillway/core/export.hpp>
#include <spillway/core/log.hpp>
#include <spillway/core/result.hpp>
#include <spillway/db/db_error.hpp>

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace spillway {

/// The text lives only as long as the call.
struct postgres_notification {
  std::string_view channel;
  std::string_view payload;  ///< At most 8'000 bytes.
  int sender_pid;            ///< Of the server's process for the session that said it.
};

struct postgres_listener_config {
  /// One server, or all nodes of a cluster: notifications are heard on the primary alone. 1 to 64, each as `postgres_config.url`; of one database.
  std::vector<std::string> urls{};
  std::vector<std::string> channels{};                ///< 1 to 100 names of 1 to 63 bytes; upper and lower case differ.
  std::string application_name{"spillway listener"};  ///< At most 63 bytes.
  std::chrono::milliseconds connect_timeout{5'000};   ///< In [1 ms, 1 h].
  /// After a silence of this long the server is asked whether it is there, and has `connect_timeout` to answer. In [10 ms, 1 h].
  std::chrono::milliseconds keepalive{10'000};
  /// Between tries to connect. While several servers have no primary, each is asked about as often as `base` says, for that is over soon.
  backoff_config backoff{std::chrono::milliseconds{100}, std::chrono::milliseconds{5'000}};
  log_sink log{};                                     ///< Hears of connections that were lost and found.

  std::function<void(const postgres_notification&)> on_notification{};
  /// Every channel is heard from now on, for the first time or again: what was said before may have been missed, so look at what it was about.
  std::function<void()> on_listening{};
};

/// A session that listens, opened again whenever it is lost, on a thread of its own that also calls the functions.
///
///     postgres_listener listener{{
///         .urls = {url},
///         .channels = {"orders"},
///         .on_notification = [&](const postgres_notification& n) { cache.drop(n.payload); },
///         .on_listening = [&] { cache.clear(); },
///     }};
///     ...
///     db.write([](write_session& s) { return s.execute("SELECT pg_notify('orders', $1)", id); });
///
/// NOTIFY is heard when its transaction commits, in the order of commits, each once while the connection lasts.
///
/// Of several servers it listens on the primary, as a cluster would find it: they are asked every half second who they are, and a new primary is
/// taken as soon as it is known. An old one that came back, a second one, and a server of another system are left alone.
///
/// Threads: any, but `close` not from a function: it would wait for itself. What a function throws is logged.
/// Errors:  the constructor throws std::invalid_argument naming the field, or what is wrong with a url. It does not wait for a connection.
class SPILLWAY_EXPORT postgres_listener {
 public:
  explicit postgres_listener(postgres_listener_config config);
  ~postgres_listener();
  postgres_listener(const postgres_listener&) = delete;
  postgres_listener& operator=(const postgres_listener&) = delete;

  [[nodiscard]] bool is_listening() const noexcept;
  /// How often it was connected.
  [[nodiscard]] std::uint64_t connections() const noexcept;
  /// Why it is not listening; no failure if it is, or has not tried yet.
  [[nodiscard]] db_error last_failure() const;

  /// No function is called when this has returned. Of several servers, one that hangs can make it take 2 s.
  void close() noexcept;

 private:
  class body;
  std::unique_ptr<body> body_;
};

}  // namespace spillway
