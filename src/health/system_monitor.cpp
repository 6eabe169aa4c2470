// SPDX-License-Identifier: Apache-2.0
#include <spillway/health/system_monitor.hpp>

#include "health/ratio_field.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <mutex>
#include <stdexcept>
#include <utility>

namespace spillway {

namespace {

constexpr std::size_t most_disks{16};

std::optional<double> share(double part, double whole) {
  if (!(whole > 0)) return std::nullopt;
  return std::clamp(part / whole, 0.0, 1.0);
}

/// The load of whatever is closest to its limit. None if no reading follows one before, as when the process was moved to another control
/// group.
std::optional<double> load_between(const std::vector<cpu_reading>& before, const std::vector<cpu_reading>& after) {
  std::optional<double> most;
  for (const auto& now : after) {
    const auto then = std::find_if(before.begin(), before.end(), [&now](const auto& one) { return one.limit == now.limit; });
    if (then == before.end() || now.busy < then->busy) continue;
    const auto busy = now.busy - then->busy;
    const auto capacity = now.capacity - then->capacity;
    most = std::max(most, share(static_cast<double>(busy.count()), static_cast<double>(capacity.count())));
  }
  return most;
}

void cannot_read(std::string_view what, const error_code& why, system_sample& sample) {
  sample.unreadable.push_back(fmt::format("cannot read {}: {}", what, why.message()));
}

void warn_above(double warning_ratio, const std::optional<double>& used_ratio, std::string_view what, std::vector<std::string>& warnings) {
  if (!used_ratio || *used_ratio <= warning_ratio) return;
  warnings.push_back(fmt::format("{} {:.1f} % > {:.0f} %", what, *used_ratio * 100, warning_ratio * 100));
}

}  // namespace

health_result judge(const system_sample& sample, const system_monitor_config& config) {
  std::vector<std::string> warnings;
  warn_above(config.memory_warning_ratio, sample.memory_used_ratio, "memory", warnings);
  warn_above(config.cpu_warning_ratio, sample.cpu_used_ratio, "CPU", warnings);
  for (const auto& disk : sample.disks) warn_above(config.disk_warning_ratio, disk.used_ratio, "disk " + disk.path, warnings);
  const bool warned = !warnings.empty();
  warnings.insert(warnings.end(), sample.unreadable.begin(), sample.unreadable.end());
  auto message = fmt::format("{}", fmt::join(warnings, "; "));
  if (warned) return health_result::degraded(std::move(message));
  return sample.unreadable.empty() ? health_result::ok() : health_result::unknown(std::move(message));
}

struct system_monitor::state {
  state(system_monitor_config with, std::shared_ptr<const system_sensors> from) : config{std::move(with)}, sensors{std::move(from)} {}

  system_sample take() {
    system_sample sample;
    const auto turn = begin(sample);
    for (auto& disk : sample.disks) {
      if (const auto read = sensors->disk(disk.path)) {
        disk.used_ratio = share(static_cast<double>(read->used_bytes), static_cast<double>(read->used_bytes + read->available_bytes));
      } else {
        disk.used_ratio.reset();
        cannot_read("disk " + disk.path, read.error(), sample);
      }
      keep(sample, turn);
    }
    return sample;
  }

  /// Reads all that cannot hang, one at a time, since the processor's load lies between two samples. Disks are as they were last. Gives the
  /// sample's number.
  std::uint64_t begin(system_sample& sample) {
    const std::scoped_lock turn{sampling};
    if (const auto memory = sensors->memory()) {
      sample.memory_used_ratio = share(static_cast<double>(memory->used_bytes), static_cast<double>(memory->limit_bytes));
    } else {
      cannot_read("memory", memory.error(), sample);
    }
    if (const auto cpu = sensors->cpu()) {
      sample.cpu_used_ratio = load_between(last_cpu, *cpu);
      last_cpu = *cpu;
    } else {
      cannot_read("CPU", cpu.error(), sample);
    }
    const std::scoped_lock lock{mutex};
    sample.disks = last.disks;
    if (sample.disks.empty()) {
      for (const auto& path : config.disk_paths) sample.disks.push_back({path, std::nullopt});
    }
    last = sample;
    return ++newest;
  }

  /// Keeps it unless a newer one has been begun.
  void keep(const system_sample& sample, std::uint64_t turn) {
    const std::scoped_lock lock{mutex};
    if (turn == newest) last = sample;
  }

  system_sample last_sample() {
    const std::scoped_lock lock{mutex};
    return last;
  }

  const system_monitor_config config;
  const std::shared_ptr<const system_sensors> sensors;
  std::mutex sampling;  // held while memory and processor are read, never while a disk is
  std::vector<cpu_reading> last_cpu;
  std::mutex mutex;  // taken after `sampling`, guards what follows
  system_sample last;
  std::uint64_t newest{0};  // number of the sample begun last
};

system_monitor::system_monitor(const system_monitor_config& config, std::shared_ptr<const system_sensors> sensors)
    : state_{std::make_shared<state>(config, std::move(sensors))} {
  detail::check_ratio("system_monitor_config.memory_warning_ratio", config.memory_warning_ratio);
  detail::check_ratio("system_monitor_config.cpu_warning_ratio", config.cpu_warning_ratio);
  detail::check_ratio("system_monitor_config.disk_warning_ratio", config.disk_warning_ratio);
  if (config.disk_paths.size() > most_disks) {
    throw std::invalid_argument(
        fmt::format("system_monitor_config.disk_paths has {} entries; it must have at most {}", config.disk_paths.size(), most_disks));
  }
  if (std::any_of(config.disk_paths.begin(), config.disk_paths.end(), [](const auto& path) { return path.empty(); })) {
    throw std::invalid_argument("system_monitor_config.disk_paths has an empty entry; each must be a path");
  }
}

blocking_health_check system_monitor::check() const {
  return [state = state_](const health_check_context&) { return judge(state->take(), state->config); };
}

system_sample system_monitor::last_sample() const {
  return state_->last_sample();
}

void write_metrics(const system_monitor& monitor, std::string_view, metric_writer& out) {
  const auto sample = monitor.last_sample();
  if (sample.memory_used_ratio) out.gauge("spillway_system_memory_used_ratio", "Used share of the memory.", {}, *sample.memory_used_ratio);
  if (sample.cpu_used_ratio) out.gauge("spillway_system_cpu_used_ratio", "Used share of the processor time.", {}, *sample.cpu_used_ratio);
  for (const auto& disk : sample.disks) {
    const std::array<metric_label, 1> labels{{{"path", disk.path}}};
    if (disk.used_ratio) out.gauge("spillway_system_disk_used_ratio", "Used share of the file system.", labels, *disk.used_ratio);
  }
}

}  // namespace spillway
