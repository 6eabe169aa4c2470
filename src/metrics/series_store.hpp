// SPDX-License-Identifier: Apache-2.0
// The series of one family of own instruments.
#pragma once

#include <spillway/metrics/instruments.hpp>

#include "metrics/family_shape.hpp"
#include "metrics/label_text.hpp"

#include <prometheus/metric_family.h>

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <shared_mutex>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

namespace spillway::detail {

inline constexpr std::string_view other_value{"other"};

/// What the registry knows of a family, whatever its cells are.
class family_store {
 public:
  explicit family_store(family_shape shape) : shape_{std::move(shape)} {}
  virtual ~family_store() = default;
  family_store(const family_store&) = delete;
  family_store& operator=(const family_store&) = delete;

  [[nodiscard]] const family_shape& shape() const noexcept { return shape_; }
  [[nodiscard]] virtual prometheus::MetricFamily collect() const = 0;

  /// How often a new set of label values got the series `other`.
  [[nodiscard]] std::uint64_t dropped() const noexcept { return dropped_.load(std::memory_order_relaxed); }

 protected:
  const family_shape shape_;
  std::atomic<std::uint64_t> dropped_{0};
};

inline void read_cell(const striped_counter& cell, prometheus::ClientMetric& to) {
  to.counter.value = static_cast<double>(cell.value());
}
inline void read_cell(const std::atomic<double>& cell, prometheus::ClientMetric& to) {
  to.gauge.value = cell.load(std::memory_order_relaxed);
}
void read_cell(const histogram_cells& cell, prometheus::ClientMetric& to);

/// Threads: all. Handles keep cells alive and write to them without this lock.
template <class Cell>
class series_store final : public family_store {
 public:
  series_store(family_shape shape, std::size_t most_series) : family_store{std::move(shape)}, most_series_{most_series} {
    const std::vector<std::string_view> others(shape_.label_names.size(), other_value);
    append_key(others, other_key_);
    if (shape_.label_names.empty()) add(other_key_, {});
  }

  [[nodiscard]] std::shared_ptr<Cell> with(std::span<const std::string_view> values) {
    if (values.size() != shape_.label_names.size()) {
      throw std::invalid_argument("metric '" + shape_.name + "': with() got " + std::to_string(values.size()) + " label values; it takes " +
                                  std::to_string(shape_.label_names.size()));
    }
    for (const auto value : values) {
      if (!is_clean_text(value, longest_label_value)) return with_cleaned(values);
    }
    thread_local std::string key;
    key.clear();
    append_key(values, key);
    {
      const std::shared_lock lock{mutex_};
      if (const auto found = index_.find(std::string_view{key}); found != index_.end()) return series_[found->second].cell;
    }
    const std::scoped_lock lock{mutex_};
    if (const auto found = index_.find(std::string_view{key}); found != index_.end()) return series_[found->second].cell;
    if (key == other_key_ || ordinary_ < most_series_) return add(key, values);
    dropped_.fetch_add(1, std::memory_order_relaxed);
    if (const auto found = index_.find(std::string_view{other_key_}); found != index_.end()) return series_[found->second].cell;
    const std::vector<std::string_view> others(values.size(), other_value);
    return add(other_key_, others);
  }

  [[nodiscard]] prometheus::MetricFamily collect() const override {
    prometheus::MetricFamily family{shape_.name, shape_.help, shape_.type, {}};
    const std::shared_lock lock{mutex_};
    family.metric.reserve(series_.size());
    for (const auto& one : series_) {
      auto& metric = family.metric.emplace_back();
      metric.label = one.labels;
      read_cell(*one.cell, metric);
    }
    return family;
  }

 private:
  struct series {
    std::vector<prometheus::ClientMetric::Label> labels;
    std::shared_ptr<Cell> cell;
  };
  struct text_hash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const noexcept { return std::hash<std::string_view>{}(text); }
  };

  /// Each value with a NUL behind it, which no clean value holds, so that different values never make the same key.
  static void append_key(std::span<const std::string_view> values, std::string& key) {
    for (const auto value : values) {
      key += value;
      key += '\0';
    }
  }

  std::shared_ptr<Cell> with_cleaned(std::span<const std::string_view> values) {
    std::vector<std::string> cleaned;
    for (const auto value : values) cleaned.push_back(clean_text(value, longest_label_value));
    return with(std::vector<std::string_view>(cleaned.begin(), cleaned.end()));
  }

  std::shared_ptr<Cell> add(const std::string& key, std::span<const std::string_view> values) {
    series added;
    for (std::size_t i = 0; i < values.size(); ++i) added.labels.push_back({shape_.label_names[i], std::string{values[i]}});
    if constexpr (std::is_constructible_v<Cell, std::span<const std::chrono::nanoseconds>>) {
      added.cell = std::make_shared<Cell>(shape_.bounds);
    } else {
      added.cell = std::make_shared<Cell>();
    }
    auto cell = added.cell;
    series_.push_back(std::move(added));
    index_.emplace(key, series_.size() - 1);
    if (key != other_key_) ++ordinary_;
    return cell;
  }

  const std::size_t most_series_;
  std::string other_key_;
  mutable std::shared_mutex mutex_;
  std::vector<series> series_;  // in the order they came, which keeps the exposition stable
  std::unordered_map<std::string, std::size_t, text_hash, std::equal_to<>> index_;
  std::size_t ordinary_{0};  // series but for `other`
};

}  // namespace spillway::detail
