// SPDX-License-Identifier: Apache-2.0
#include "access_log.hpp"

#include <spillway/http/json_escape.hpp>

#include <fmt/chrono.h>
#include <fmt/format.h>
#include <spdlog/logger.h>
#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/basic_file_sink.h>
#include <spdlog/sinks/stdout_sinks.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <mutex>
#include <string_view>
#include <thread>
#include <utility>

namespace spillway::examples {

namespace {

[[nodiscard]] std::string_view name_of(http_outcome outcome) noexcept {
  switch (outcome) {
    case http_outcome::completed: return "completed";
    case http_outcome::rejected: return "rejected";
    case http_outcome::client_gone: return "client_gone";
    case http_outcome::cut_off: break;
  }
  return "cut_off";
}

[[nodiscard]] std::string_view name_of(log_level level) noexcept {
  switch (level) {
    case log_level::debug: return "debug";
    case log_level::info: return "info";
    case log_level::warning: return "warning";
    case log_level::error: break;
  }
  return "error";
}

void append_number(std::string& line, std::string_view name, std::uint64_t number) {
  line += name;
  line += fmt::format_int{number}.c_str();
}

void append_text(std::string& line, std::string_view name, std::string_view text) {
  line += name;
  append_json_string(line, text);
}

/// {"at":"2026-01-31T12:00:00.000Z" with nothing behind it. The calendar is asked once a second.
void begin_line(std::string& line, wall_time_point at) {
  thread_local std::string text;
  thread_local wall_time_point second;
  const auto now = std::chrono::floor<std::chrono::seconds>(at);
  if (text.empty() || now != second) {
    second = now;
    text = fmt::format(R"({{"at":"{:%Y-%m-%dT%H:%M:%S}.)", fmt::gmtime(std::chrono::system_clock::to_time_t(now)));
  }
  line += text;
  const auto millis = std::chrono::duration_cast<std::chrono::milliseconds>(at - now).count();
  const char digits[]{static_cast<char>('0' + millis / 100), static_cast<char>('0' + millis / 10 % 10), static_cast<char>('0' + millis % 10)};
  line.append(digits, sizeof digits);
  line += "Z\"";
}

void append_record(std::string& line, const http_access_record& record) {
  begin_line(line, record.at);
  append_text(line, R"(,"request_id":)", record.request_id);
  append_text(line, R"(,"peer":)", record.peer);
  append_text(line, R"(,"method":)", record.method_name);
  append_text(line, R"(,"route":)", record.route);
  append_text(line, R"(,"target":)", record.target);
  append_number(line, R"(,"status":)", static_cast<std::uint64_t>(record.status));
  line += R"(,"outcome":")";
  line += name_of(record.outcome);
  line += '"';
  if (!record.reason.empty()) append_text(line, R"(,"reason":)", record.reason);
  append_number(line, R"(,"duration_us":)", static_cast<std::uint64_t>(record.duration.count() / 1000));
  append_number(line, R"(,"request_bytes":)", record.request_bytes);
  append_number(line, R"(,"response_bytes":)", record.response_bytes);
  append_text(line, R"(,"user_agent":)", record.user_agent);
  line += '}';
}

void append_event(std::string& line, const log_event& event) {
  begin_line(line, std::chrono::system_clock::now());
  append_text(line, R"(,"level":)", name_of(event.level));
  append_text(line, R"(,"module":)", event.module);
  append_text(line, R"(,"message":)", event.message);
  for (const auto& field : event.fields) {
    line += ',';
    append_json_string(line, field.name);
    append_text(line, ":", field.value);
  }
  line += '}';
}

spdlog::sink_ptr make_sink(const std::string& file) {
  if (file.empty()) return std::make_shared<spdlog::sinks::stdout_sink_mt>();
  return std::make_shared<spdlog::sinks::basic_file_sink_mt>(file);
}

}  // namespace

struct access_log::impl {
  explicit impl(const access_log_config& given) : config{given}, logger{"access", make_sink(config.file)} {
    logger.set_formatter(std::make_unique<spdlog::pattern_formatter>("%v", spdlog::pattern_time_type::utc, ""));
    thread = std::thread{[this] { run(); }};
  }

  template <class Append>
  void take(const Append& append) noexcept {
    try {
      thread_local std::string line;
      line.clear();
      append(line);
      line += '\n';
      const std::scoped_lock lock{mutex};
      if (ending || pending.size() + line.size() > config.max_pending_bytes) {
        lost.fetch_add(1, std::memory_order_relaxed);
        return;
      }
      pending += line;
      ++taken;
    } catch (...) {
      lost.fetch_add(1, std::memory_order_relaxed);  // no memory for the line
    }
  }

  void run() {
    std::string block;
    std::uint64_t told{0};
    std::unique_lock lock{mutex};
    for (;;) {
      wake.wait_for(lock, config.write_every, [this] { return ending || asked > written; });
      const bool last = ending;
      block.swap(pending);
      const auto upto = taken;
      lock.unlock();
      if (const auto now = lost.load(std::memory_order_relaxed); now != told) {
        begin_line(block, std::chrono::system_clock::now());
        append_number(block, R"(,"level":"warning","module":"access_log","message":"lines were dropped","count":)", now - told);
        block += "}\n";
        told = now;
      }
      if (!block.empty()) logger.log(spdlog::level::info, std::string_view{block});
      logger.flush();
      block.clear();
      lock.lock();
      written = upto;
      done.notify_all();
      if (last) return;
    }
  }

  void end() {
    {
      const std::scoped_lock lock{mutex};
      ending = true;
    }
    wake.notify_all();
    thread.join();
  }

  const access_log_config config;
  spdlog::logger logger;  // used by `thread` only
  std::atomic<std::uint64_t> lost{0};
  std::mutex mutex;  // guards all below
  std::condition_variable wake;
  std::condition_variable done;
  std::string pending;
  std::uint64_t taken{0};
  std::uint64_t asked{0};
  std::uint64_t written{0};
  bool ending{false};
  std::thread thread;
};

access_log::access_log(const access_log_config& config) : impl_{std::make_shared<impl>(config)} {}
access_log::~access_log() { impl_->end(); }

http_access_sink access_log::sink() const {
  return [log = impl_](const http_access_record& record) { log->take([&record](std::string& line) { append_record(line, record); }); };
}

log_sink access_log::events() const {
  return [log = impl_](const log_event& event) { log->take([&event](std::string& line) { append_event(line, event); }); };
}

std::uint64_t access_log::dropped() const noexcept { return impl_->lost.load(std::memory_order_relaxed); }

void access_log::flush() {
  std::unique_lock lock{impl_->mutex};
  const auto upto = impl_->taken;
  impl_->asked = std::max(impl_->asked, upto);
  impl_->wake.notify_all();
  impl_->done.wait(lock, [&] { return impl_->written >= upto; });
}

}  // namespace spillway::examples
