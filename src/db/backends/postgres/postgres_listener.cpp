// SPDX-License-Identifier: Apache-2.0
#include <spillway/db/postgres_listener.hpp>

#include "pg_ask.hpp"
#include "pg_error.hpp"

#include <spillway/core/deadline.hpp>

#include <fmt/format.h>

#include <array>
#include <atomic>
#include <condition_variable>
#include <exception>
#include <memory>
#include <mutex>
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
  explicit body(postgres_listener_config config) : config_{validated(std::move(config))} {
    for (std::size_t i = 0; i < config_.urls.size(); ++i) {
      auto info = pg_conninfo::parse(config_.urls[i], config_.application_name);
      if (!info) throw std::invalid_argument(fmt::format("postgres_listener_config.urls[{}]: {}", i, info.error()));
      servers_.push_back(std::move(*info));
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
    }
    wake_.notify_all();
    const std::scoped_lock lock{close_mutex_};
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
    decorrelated_backoff backoff{config_.backoff};
    std::minstd_rand random{std::random_device{}()};
    for (std::size_t next = 0; !stopped_; ++next) {
      const auto& server = servers_[next % servers_.size()];
      auto failure = listen_on(server, backoff);
      if (stopped_) return;
      tell(log_level::warning, "not listening", server, failure.what());
      {
        std::unique_lock lock{mutex_};
        last_failure_ = std::move(failure);
        // Only a whole round without success is a reason to wait.
        if ((next + 1) % servers_.size() == 0) wake_.wait_for(lock, backoff.next(random), [this] { return stopped_.load(); });
      }
    }
  }

  /// Until the connection is lost, or the end.
  db_error listen_on(const pg_conninfo& server, decorrelated_backoff& backoff) {
    const auto soon = [this] { return deadline::after(system_clock_source().now(), config_.connect_timeout); };
    auto channel = pg_channel::connect(server, session_kind::write, {soon(), &stopped_});
    if (!channel) return channel.error();
    for (const auto& name : config_.channels) {
      const auto sql = "LISTEN " + quoted(name);
      if (const auto done = pg_ask(*channel, sql.c_str(), {}, {soon(), &stopped_}); !done) return done.error();
    }
    backoff.reset();
    ++connections_;
    listening_ = true;
    {
      const std::scoped_lock lock{mutex_};
      last_failure_ = {};
    }
    tell(log_level::info, "listening", server, {});
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
      const auto waited = channel.receive(POLLIN, {until, &stopped_});
      if (waited == pg_wait::cancelled) return {};
      if (waited == pg_wait::timed_out) {
        const auto answered = pg_ask(channel, "SELECT 1", {}, {deadline::after(system_clock_source().now(), config_.connect_timeout), &stopped_});
        if (!answered) return answered.error();
      } else if (waited == pg_wait::lost || !channel.peek()) {
        return db_error{db_errc::connection_lost, one_line(channel.last_words())};
      }
    }
  }

  template <class F>
  void guarded(F&& function) noexcept {
    try {
      function();
    } catch (const std::exception& thrown) {
      tell(log_level::error, "a function threw", servers_.front(), thrown.what());
    } catch (...) {
      tell(log_level::error, "a function threw", servers_.front(), "not a std::exception");
    }
  }

  void tell(log_level level, std::string_view message, const pg_conninfo& server, std::string_view why) const noexcept {
    if (!config_.log) return;
    const std::array<log_field, 2> fields{{{"server", server.where()}, {"why", why}}};
    config_.log(log_event{level, "db", message, fields});
  }

  const postgres_listener_config config_;
  std::vector<pg_conninfo> servers_;
  std::atomic<bool> stopped_{false};
  std::atomic<bool> listening_{false};
  std::atomic<std::uint64_t> connections_{0};
  std::mutex close_mutex_;    // held for the whole of close()
  mutable std::mutex mutex_;  // guards what follows, but for the thread
  std::condition_variable wake_;
  db_error last_failure_;
  std::thread thread_;
};

postgres_listener::postgres_listener(postgres_listener_config config) : body_{std::make_unique<body>(std::move(config))} {}
postgres_listener::~postgres_listener() = default;
bool postgres_listener::is_listening() const noexcept { return body_->is_listening(); }
std::uint64_t postgres_listener::connections() const noexcept { return body_->connections(); }
db_error postgres_listener::last_failure() const { return body_->last_failure(); }
void postgres_listener::close() noexcept { body_->close(); }

}  // namespace spillway
