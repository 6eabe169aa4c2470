// SPDX-License-Identifier: Apache-2.0
#include <spillway/metrics/metrics_registry.hpp>

#include <spillway/core/version.hpp>

#include "metrics/exposition.hpp"
#include "metrics/family_shape.hpp"
#include "metrics/label_text.hpp"
#include "metrics/scrape_table.hpp"
#include "metrics/series_store.hpp"

#include <boost/version.hpp>
#include <fmt/format.h>
#include <prometheus/registry.h>

#include <algorithm>
#include <array>
#include <map>
#include <mutex>
#include <optional>
#include <stdexcept>

namespace spillway {

namespace detail {

/// Threads: all. The lock is held while the object is asked, so that `end` returns only once nobody is in it.
class binding_slot {
 public:
  binding_slot(std::string name, std::function<void(metric_writer&)> write) : name_{std::move(name)}, write_{std::move(write)} {}

  [[nodiscard]] const std::string& name() const noexcept { return name_; }

  void ask(metric_writer& out) {
    const std::scoped_lock lock{mutex_};
    if (write_) write_(out);
  }
  void end() noexcept {
    const std::scoped_lock lock{mutex_};
    write_ = nullptr;
  }

 private:
  const std::string name_;
  std::mutex mutex_;
  std::function<void(metric_writer&)> write_;
};

namespace {

constexpr std::string_view build_info_name{"spillway_build_info"};
constexpr std::string_view dropped_name{"spillway_metrics_dropped_label_sets_total"};
constexpr std::string_view rejected_name{"spillway_metrics_rejected_series_total"};

/// Brings what a bound object says into the table.
class table_writer final : public metric_writer {
 public:
  explicit table_writer(scrape_table& table) : table_{table} {}

  void counter(std::string_view name, std::string_view help, metric_labels labels, double value) override {
    auto metric = labelled(labels);
    metric.counter.value = value;
    table_.add(name, help, prometheus::MetricType::Counter, std::move(metric), true);
  }
  void gauge(std::string_view name, std::string_view help, metric_labels labels, double value) override {
    auto metric = labelled(labels);
    metric.gauge.value = value;
    table_.add(name, help, prometheus::MetricType::Gauge, std::move(metric), true);
  }
  void histogram(std::string_view name, std::string_view help, metric_labels labels, const latency_snapshot& durations,
                 std::span<const std::chrono::nanoseconds> bounds) override {
    if (bounds.size() > most_buckets) return table_.reject(name, rejection::invalid);
    auto metric = labelled(labels);
    metric.histogram.sample_count = durations.count;
    metric.histogram.sample_sum = std::chrono::duration<double>{durations.sum}.count();
    for (const auto bound : bounds) {
      metric.histogram.bucket.push_back({durations.count_at_most(bound), std::chrono::duration<double>{bound}.count()});
    }
    table_.add(name, help, prometheus::MetricType::Histogram, std::move(metric), true);
  }

 private:
  static prometheus::ClientMetric labelled(metric_labels labels) {
    prometheus::ClientMetric metric;
    for (const auto& label : labels) metric.label.push_back({std::string{label.name}, std::string{label.value}});
    return metric;
  }
  scrape_table& table_;
};

std::size_t in_range(std::string_view field, std::size_t value, std::size_t most) {
  if (value < 1 || value > most) {
    throw std::invalid_argument(fmt::format("metrics_registry_config.{} is {}; it must be in [1, {}]", field, value, most));
  }
  return value;
}

prometheus::MetricFamily build_info() {
  prometheus::ClientMetric metric;
  metric.label = {{"version", std::string{version()}},
                  {"boost", fmt::format("{}.{}.{}", BOOST_VERSION / 100'000, BOOST_VERSION / 100 % 1'000, BOOST_VERSION % 100)},
                  {"fmt", fmt::format("{}.{}.{}", FMT_VERSION / 10'000, FMT_VERSION / 100 % 100, FMT_VERSION % 100)}};
  metric.gauge.value = 1;
  return {std::string{build_info_name}, "Version of spillway, and of the libraries it was built with.", prometheus::MetricType::Gauge,
          {std::move(metric)}};
}

}  // namespace
}  // namespace detail

using namespace detail;

struct metrics_registry::impl {
  /// What users see as the prometheus-cpp registry: collecting it collects everything.
  class bridged_registry final : public prometheus::Registry {
   public:
    explicit bridged_registry(std::weak_ptr<impl> owner) : owner_{std::move(owner)} {}
    std::vector<prometheus::MetricFamily> Collect() const override {
      const auto owner = owner_.lock();
      return owner ? owner->gather() : collect_own();
    }
    std::vector<prometheus::MetricFamily> collect_own() const { return prometheus::Registry::Collect(); }

   private:
    std::weak_ptr<impl> owner_;
  };

  explicit impl(const metrics_registry_config& given) : config{given} {
    in_range("series_per_family", config.series_per_family, 1'000'000);
    in_range("families", config.families, 100'000);
    for (const auto name : {build_info_name, dropped_name, rejected_name}) claimed.emplace(name, name);
  }

  template <class Cell>
  std::shared_ptr<series_store<Cell>> add_family(family_shape shape) {
    check_shape(shape);
    shape.help = clean_text(shape.help, longest_help);
    const std::scoped_lock lock{mutex};
    if (const auto found = families.find(shape.name); found != families.end()) {
      const auto& there = found->second->shape();
      if (there.type != shape.type) refuse(shape.name, "is there already with another type");
      if (there.label_names != shape.label_names) {
        refuse(shape.name, fmt::format("is there already with the labels ({})", fmt::join(there.label_names, ", ")));
      }
      if (there.bounds != shape.bounds) refuse(shape.name, "is there already with other bounds");
      return std::static_pointer_cast<series_store<Cell>>(found->second);
    }
    if (families.size() >= config.families) {
      refuse(shape.name, fmt::format("is one too many; metrics_registry_config.families is {}", config.families));
    }
    const auto names = sample_names(shape.name, shape.type);
    for (const auto& name : names) {
      if (const auto taken = claimed.find(name); taken != claimed.end()) {
        refuse(shape.name, fmt::format("would write '{}', which belongs to '{}'", name, taken->second));
      }
    }
    auto made = std::make_shared<series_store<Cell>>(shape, config.series_per_family);
    for (const auto& name : names) claimed.emplace(name, shape.name);
    families.emplace(shape.name, made);
    return made;
  }

  /// Forgets those that have ended once there may be as many of them as of the others. Under the lock.
  void add_binding(const std::shared_ptr<binding_slot>& slot) {
    if (bindings.size() >= prune_at) {
      std::erase_if(bindings, [](const auto& one) { return one.expired(); });
      prune_at = std::max<std::size_t>(16, 2 * bindings.size());
    }
    bindings.push_back(slot);
  }

  std::vector<prometheus::MetricFamily> gather() {
    std::vector<prometheus::MetricFamily> gathered;
    std::vector<admission_book::rejected_key> news;
    {
      const std::scoped_lock turn{scrape_mutex};
      gathered = gather_in_turn();
      news.swap(book.news);
    }
    for (const auto& one : news) tell(one);
    return gathered;
  }

  std::vector<prometheus::MetricFamily> gather_in_turn() {
    std::vector<std::shared_ptr<family_store>> own;
    std::vector<std::shared_ptr<binding_slot>> bound;
    {
      const std::scoped_lock lock{mutex};
      for (const auto& [name, store] : families) own.push_back(store);
      for (const auto& slot : bindings) {
        if (auto held = slot.lock()) bound.push_back(std::move(held));
      }
    }
    constexpr std::size_t of_the_registry{3};
    scrape_table table{book, config.series_per_family, config.families + of_the_registry};
    table.add_own(build_info());
    table.reserve(dropped_name, "Sets of label values that were counted under 'other' because the family was full.");
    table.reserve(rejected_name, "Series kept out of the exposition, by reason.");
    for (const auto& store : own) table.add_own(store->collect());
    table_writer writer{table};
    for (const auto& slot : bound) {
      try {
        slot->ask(writer);
      } catch (...) {
        table.reject(slot->name(), rejection::error);
      }
    }
    for (auto& family : native->collect_own()) {
      for (auto& metric : family.metric) table.add(family.name, family.help, family.type, std::move(metric), false);
    }
    table.settle();
    table.fill(dropped_name, dropped(own));
    table.fill(rejected_name, rejected());
    return table.take();
  }

  std::vector<prometheus::ClientMetric> dropped(const std::vector<std::shared_ptr<family_store>>& own) const {
    std::map<std::string, std::uint64_t> by_metric;
    for (const auto& store : own) {
      if (!store->shape().label_names.empty()) by_metric[store->shape().name] += store->dropped();
    }
    for (const auto& [name, family] : book.families) by_metric[name] += family.dropped;
    std::vector<prometheus::ClientMetric> metrics;
    for (const auto& [name, count] : by_metric) {
      auto& metric = metrics.emplace_back();
      metric.label = {{"metric", name}};
      metric.counter.value = static_cast<double>(count);
    }
    return metrics;
  }

  std::vector<prometheus::ClientMetric> rejected() const {
    std::vector<prometheus::ClientMetric> metrics;
    for (const auto& [key, count] : book.rejected) {
      auto& metric = metrics.emplace_back();
      metric.label = {{"metric", key.metric}, {"reason", std::string{to_string(key.why)}}};
      metric.counter.value = static_cast<double>(count);
    }
    return metrics;
  }

  void tell(const admission_book::rejected_key& one) const {
    if (!config.log) return;
    const std::array<log_field, 2> fields{{{"metric", one.metric}, {"reason", to_string(one.why)}}};
    config.log({log_level::warning, "metrics", "series kept out of the exposition", fields});
  }

  const metrics_registry_config config;
  std::shared_ptr<bridged_registry> native;
  std::mutex scrape_mutex;  // taken before `mutex` and before the slots' locks
  admission_book book;      // guarded by scrape_mutex
  std::mutex mutex;         // guards what follows
  std::map<std::string, std::shared_ptr<family_store>> families;
  std::map<std::string, std::string, std::less<>> claimed;  // name of a sample -> family
  std::vector<std::weak_ptr<binding_slot>> bindings;  // some may have ended
  std::size_t prune_at{16};
};

namespace {

family_shape shape_of(std::string_view name, std::string_view help, prometheus::MetricType type,
                      std::initializer_list<std::string_view> label_names, std::span<const std::chrono::nanoseconds> bounds = {}) {
  return {std::string{name}, std::string{help}, type, {label_names.begin(), label_names.end()}, {bounds.begin(), bounds.end()}};
}

void need_labels(std::string_view name, std::initializer_list<std::string_view> label_names) {
  if (label_names.size() == 0) refuse(name, "a family needs at least one label name");
}

}  // namespace

metric_binding::metric_binding() noexcept = default;
metric_binding::metric_binding(std::shared_ptr<binding_slot> slot) noexcept : slot_{std::move(slot)} {}
metric_binding::metric_binding(metric_binding&& other) noexcept = default;
metric_binding& metric_binding::operator=(metric_binding&& other) noexcept {
  if (this != &other) {
    reset();
    slot_ = std::move(other.slot_);
  }
  return *this;
}
metric_binding::~metric_binding() { reset(); }

void metric_binding::reset() noexcept {
  if (slot_) slot_->end();
  slot_.reset();
}

metrics_registry::metrics_registry(const metrics_registry_config& config) : impl_{std::make_shared<impl>(config)} {
  impl_->native = std::make_shared<impl::bridged_registry>(impl_);
}
metrics_registry::~metrics_registry() = default;

counter metrics_registry::add_counter(std::string_view name, std::string_view help) {
  return counter_family{impl_->add_family<striped_counter>(shape_of(name, help, prometheus::MetricType::Counter, {}))}.with({});
}
gauge metrics_registry::add_gauge(std::string_view name, std::string_view help) {
  return gauge_family{impl_->add_family<std::atomic<double>>(shape_of(name, help, prometheus::MetricType::Gauge, {}))}.with({});
}
histogram metrics_registry::add_histogram(std::string_view name, std::string_view help, std::span<const std::chrono::nanoseconds> bounds) {
  auto shape = shape_of(name, help, prometheus::MetricType::Histogram, {}, bounds);
  return histogram_family{impl_->add_family<histogram_cells>(std::move(shape))}.with({});
}

counter_family metrics_registry::add_counter_family(std::string_view name, std::string_view help,
                                                    std::initializer_list<std::string_view> label_names) {
  need_labels(name, label_names);
  return counter_family{impl_->add_family<striped_counter>(shape_of(name, help, prometheus::MetricType::Counter, label_names))};
}
gauge_family metrics_registry::add_gauge_family(std::string_view name, std::string_view help,
                                                std::initializer_list<std::string_view> label_names) {
  need_labels(name, label_names);
  return gauge_family{impl_->add_family<std::atomic<double>>(shape_of(name, help, prometheus::MetricType::Gauge, label_names))};
}
histogram_family metrics_registry::add_histogram_family(std::string_view name, std::string_view help,
                                                        std::initializer_list<std::string_view> label_names,
                                                        std::span<const std::chrono::nanoseconds> bounds) {
  need_labels(name, label_names);
  auto shape = shape_of(name, help, prometheus::MetricType::Histogram, label_names, bounds);
  return histogram_family{impl_->add_family<histogram_cells>(std::move(shape))};
}

metric_binding metrics_registry::bind_writer(std::string name, std::function<void(metric_writer&)> write) {
  auto slot = std::make_shared<binding_slot>(std::move(name), std::move(write));
  const std::scoped_lock lock{impl_->mutex};
  impl_->add_binding(slot);
  return metric_binding{std::move(slot)};
}

std::shared_ptr<prometheus::Registry> metrics_registry::native() const noexcept { return impl_->native; }

void append_exposition(const metrics_registry& registry, std::string& out) {
  for (const auto& family : registry.impl_->gather()) append_family(family, out);
}

std::string expose(const metrics_registry& registry) {
  std::string out;
  append_exposition(registry, out);
  return out;
}

}  // namespace spillway
