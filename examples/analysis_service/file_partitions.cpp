// SPDX-License-Identifier: Apache-2.0
#include "analysis_service/file_partitions.hpp"

#include <spillway/db/partitions.hpp>

#include <array>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <stdexcept>
#include <stop_token>
#include <string>
#include <thread>
#include <utility>

namespace analysis {

using namespace std::chrono_literals;

namespace {

spillway::partition_config config_of(unsigned keep_months) {
  spillway::partition_config config;
  config.table = "file";
  if (keep_months != 0) config.keep_months = keep_months;
  return config;
}

}  // namespace

struct file_partitions::impl {
  impl(spillway::database& database, unsigned keep_months, spillway::log_sink sink, spillway::metrics_registry& registry)
      : manager{database, config_of(keep_months)}, log{std::move(sink)} {
    if (const auto made = manager.run(30s); !made) throw std::runtime_error{"the partitions of this month: " + made.error().what()};
    binding = bind(registry, "file", manager);
    worker = std::jthread{[this](const std::stop_token& stop) { work(stop); }};
  }

  void work(const std::stop_token& stop) {
    std::mutex mutex;
    std::condition_variable_any wake;
    auto pause = std::chrono::minutes{60};
    for (std::unique_lock lock{mutex}; !wake.wait_for(lock, stop, pause, [] { return false; }) && !stop.stop_requested();) {
      const auto done = manager.run(10s);
      pause = done ? 60min : 1min;
      if (!done) tell(spillway::log_level::error, "partitions could not be made or dropped", done.error().what());
      else if (!done->dropped.empty()) tell(spillway::log_level::info, "old partitions were dropped", std::to_string(done->dropped.size()));
    }
  }

  void tell(spillway::log_level level, std::string_view message, const std::string& detail) const {
    if (!log) return;
    const std::array<spillway::log_field, 1> fields{{{"detail", detail}}};
    log({level, "analysis", message, fields});
  }

  spillway::partition_manager manager;
  spillway::log_sink log;
  spillway::metric_binding binding;
  std::jthread worker;  // last, so that it ends first
};

file_partitions::file_partitions(spillway::database& database, unsigned keep_months, spillway::log_sink log, spillway::metrics_registry& registry)
    : impl_{std::make_unique<impl>(database, keep_months, std::move(log), registry)} {}

file_partitions::~file_partitions() = default;

}  // namespace analysis
