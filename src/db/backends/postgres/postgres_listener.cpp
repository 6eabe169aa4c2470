// SPDX-License-Identifier: Apache-2.0
#include <spillway/db/postgres_listener.hpp>

#include "pg_ask.hpp"
#include "pg_error.hpp"
#include "watched_nodes.hpp"

#include <spillway/core/deadline.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <condition_variable>
#include <exception>
#include <memory>
#include <mutex>
#include <optional>
#include <random>
#include <stdexcept>
#include <thread>
#include <utility>

#include <poll.h>
#include <pthread.h>

namespace spillway {

namespace {

using namespace std::chrono_literals;
using namespace detail;

template <class T>
void require_in(std::string_view field, T value, T least, T most, std::string_view unit = {}) {
  if (value >= least && value <= most) return;
  throw std::invalid_argument(fmt::format("postgres_listener_config.{} is {}{}; it must be in [{}, {}]", field, value, unit, least, most));
}

postgres_listener_config validated(postgres_listener_config config) {
  require_in<std::size_t>("urls size", config.urls.size(), 1, 64);
  require_in<std::size_t>("channels size", config.channels.size(), 1, 100);
  for (std::size_t i = 0; i < config.channels.size(); ++i) {
    require_in<std::size_t>(fmt::format("channels[{}] length", i), config.channels[i].size(), 1, 63, " bytes");
    if (config.channels[i].find('\0') != std::string::npos) throw std::invalid_argument(fmt::format("postgres_listener_config.channels[{}] has a zero byte", i));
  }
  require_in<std::size_t>("application_name length", config.application_name.size(), 0, 63, " bytes");
  require_in<std::int64_t>("connect_timeout", config.connect_timeout.count(), 1, 3'600'000, " ms");
  require_in<std::int64_t>("keepalive", config.keepalive.count(), 10, 3'600'000, " ms");
  require_in<std::int64_t>("backoff.base", config.backoff.base.count(), 1, 3'600'000, " ms");
  require_in<std::int64_t>("backoff.cap", config.backoff.cap.count(), config.backoff.base.count(), 3'600'000, " ms");
  return config;
}

std::vector<cluster_watch::watched> servers_of(const postgres_listener_config& config) {
  std::vector<postgres_node> nodes;
  for (const auto& url : config.urls) nodes.push_back({url});
  return watched_nodes(nodes, config.application_name, [](std::size_t i) { return fmt::format("postgres_listener_config.urls[{}]", i); });
}

/// Nobody reads there, so it is enough to notice a new primary in time.
routing_config watch_config(const postgres_listener_config& config) {
  routing_config made;
  made.max_sample_age = 10s;
  made.probe_interval = std::min<std::chrono::milliseconds>(config.keepalive, 500ms);
  made.probe_timeout = std::clamp<std::chrono::milliseconds>(config.connect_timeout, 10ms, 1s);
  made.probe_backoff = config.backoff;
  made.failover_interval = std::clamp<std::chrono::milliseconds>(config.backoff.base, 5ms, made.probe_interval);
  return made;
}

/// A name as SQL takes it, whatever is in it.
std::string quoted(std::string_view name) {
  std::string text{'"'};
  for (const char c : name) text.append(c == '"' ? 2 : 1, c);
  return text += '"';
}

struct free_notify {
  void operator()(PGnotify* notify) const noexcept { PQfreemem(notify); }
};

}  // namespace

class postgres_listener::body {
 public:
  explicit body(postgres_listener_config config) : config_{validated(std::move(config))}, servers_{servers_of(config_)} {
    if (servers_.size() > 1) {
      watch_.emplace(watch_config(config_), servers_, [this](const route_change& change) { changed(change); });
      watch_->start();
    }
    thread_ = std::thread{[this] { run(); }};
  }
  ~body() { close(); }
  body(const body&) = delete;
  body& operator=(const body&) = delete;

  void close() noexcept {
    {
      const std::scoped_lock lock{mutex_};
      stopped_ = true;
      leave_ = true;
    }
    wake_.notify_all();
    const std::scoped_lock lock{close_mutex_};
    if (watch_) watch_->stop();
    if (thread_.joinable()) thread_.join();
  }
  [[nodiscard]] bool is_listening() const noexcept { return listening_; }
  [[nodiscard]] std::uint64_t connections() const noexcept { return connections_; }
  [[nodiscard]] db_error last_failure() const {
    const std::scoped_lock lock{mutex_};
    return stopped_ ? db_error{db_errc::shutting_down} : last_failure_;
  }

 private:
  void run() {
    pthread_setname_np(pthread_self(), "spillway-db-l");
    if (watch_) (void)watch_->wait_for_all(soon().at());  // or an old primary could be the first to be heard
    decorrelated_backoff backoff{config_.backoff};
    std::minstd_rand random{std::random_device{}()};
    for (;;) {
      const auto server = next_server();
      if (!server) return;
      on_ = *server;
      leave_ = false;
      if (stopped_) return;
      // What changed before `on_` said where this goes, nobody was told.
      if (watch_ && watch_->with([](route_core& core, auto) { return core.primary(); }) != server) continue;
      auto failure = listen_on(servers_[*server].info, backoff);
      on_ = no_node;
      if (stopped_) return;
      if (!failure.failed()) failure = db_error{db_errc::not_primary, "it is not the primary any more"};
      tell(log_level::warning, "not listening", servers_[*server].info.where(), failure.what());
      fail(std::move(failure));
      std::unique_lock lock{mutex_};
      if (!leave_) wake_.wait_for(lock, backoff.next(random), [this] { return stopped_ || leave_; });
    }
  }

  /// The one server, or the primary as soon as there is one; none at the end.
  std::optional<node_index> next_server() {
    if (!watch_) return stopped_ ? std::nullopt : std::optional<node_index>{0};
    for (bool told{false}; !stopped_; told = true) {
      const auto seen = watch_->version();
      const auto primary = watch_->with([](route_core& core, auto) { return core.primary(); });
      if (primary) return primary;
      auto why = without_primary();
      if (!told) tell(log_level::warning, "not listening", "all", why.what());
      fail(std::move(why));
      watch_->wait(seen, system_clock_source().now() + 1s);
    }
    return std::nullopt;
  }

  /// Why none of several servers will do: what they say of the user, if that is it.
  [[nodiscard]] db_error without_primary() {
    std::string text{to_string(watch_->with([](route_core& core, auto) { return core.primary_trouble(); }))};
    for (node_index i = 0; i < servers_.size(); ++i) {
      const auto failure = watch_->last_failure(i);
      if (failure == db_errc::authentication_failed) return failure;
      if (failure.failed()) text += fmt::format("; {}", failure.message());
    }
    return {db_errc::not_primary, std::move(text)};
  }

  /// Until the connection is lost, the server is not the primary any more, or the end.
  db_error listen_on(const pg_conninfo& server, decorrelated_backoff& backoff) {
    auto channel = pg_channel::connect(server, session_kind::write, {soon(), &leave_});
    if (!channel) return channel.error();
    for (const auto& name : config_.channels) {
      const auto sql = "LISTEN " + quoted(name);
      if (const auto done = pg_ask(*channel, sql.c_str(), {}, {soon(), &leave_}); !done) return done.error();
    }
    backoff.reset();
    ++connections_;
    fail({});
    tell(log_level::info, "listening", server.where(), {});
    listening_ = true;
    guarded([this] {
      if (config_.on_listening) config_.on_listening();
    });
    auto failure = hear(*channel);
    listening_ = false;
    return failure;
  }

  db_error hear(pg_channel& channel) {
    for (;;) {
      while (const std::unique_ptr<PGnotify, free_notify> said{PQnotifies(channel.raw())}) {
        if (stopped_) return {};
        const postgres_notification told{said->relname, said->extra, said->be_pid};
        guarded([&] {
          if (config_.on_notification) config_.on_notification(told);
        });
      }
      const auto until = deadline::after(system_clock_source().now(), config_.keepalive);
      const auto waited = channel.receive(POLLIN, {until, &leave_});
      if (waited == pg_wait::cancelled) return {};
      if (waited == pg_wait::timed_out) {
        const auto answered = pg_ask(channel, "SELECT 1", {}, {soon(), &leave_});
        if (!answered) return answered.error();
      } else if (waited == pg_wait::lost || !channel.peek()) {
        return db_error{db_errc::connection_lost, one_line(channel.last_words())};
      }
    }
  }

  /// On the watch's thread.
  void changed(const route_change& change) {
    if (change.kind == route_change_kind::node_foreign) tell(log_level::error, "a server is of another system", servers_[change.node].info.where(), {});
    const auto primary = watch_->with([](route_core& core, auto) { return core.primary(); });
    if (primary.value_or(no_node) == on_) return;
    // Of a primary that does not answer the connection itself finds out whether it is gone.
    if (watch_->with([](route_core& core, auto) { return core.primary_trouble(); }) == db_route_refusal::primary_down && !primary) return;
    {
      const std::scoped_lock lock{mutex_};
      leave_ = true;
    }
    wake_.notify_all();
  }

  [[nodiscard]] deadline soon() const { return deadline::after(system_clock_source().now(), config_.connect_timeout); }

  void fail(db_error why) {
    const std::scoped_lock lock{mutex_};
    last_failure_ = std::move(why);
  }

  template <class F>
  void guarded(F&& function) noexcept {
    try {
      function();
    } catch (const std::exception& thrown) {
      tell(log_level::error, "a function threw", {}, thrown.what());
    } catch (...) {
      tell(log_level::error, "a function threw", {}, "not a std::exception");
    }
  }

  void tell(log_level level, std::string_view message, std::string_view server, std::string_view why) const noexcept {
    if (!config_.log) return;
    const std::array<log_field, 2> fields{{{"server", server}, {"why", why}}};
    config_.log(log_event{level, "db", message, fields});
  }

  const postgres_listener_config config_;
  const std::vector<cluster_watch::watched> servers_;
  std::atomic<bool> stopped_{false};
  std::atomic<bool> leave_{false};            // what is under way is to end
  std::atomic<node_index> on_{no_node};       // where it listens, or is about to
  std::atomic<bool> listening_{false};
  std::atomic<std::uint64_t> connections_{0};
  std::mutex close_mutex_;    // held for the whole of close()
  mutable std::mutex mutex_;  // guards what follows, but for the thread
  std::condition_variable wake_;
  db_error last_failure_;
  std::optional<cluster_watch> watch_;  // of several servers: where the primary is
  std::thread thread_;
};

postgres_listener::postgres_listener(postgres_listener_config config) : body_{std::make_unique<body>(std::move(config))} {}
postgres_listener::~postgres_listener() = default;
bool postgres_listener::is_listening() const noexcept { return body_->is_listening(); }
std::uint64_t postgres_listener::connections() const noexcept { return body_->connections(); }
db_error postgres_listener::last_failure() const { return body_->last_failure(); }
void postgres_listener::close() noexcept { body_->close(); }

}  // namespace spillway
