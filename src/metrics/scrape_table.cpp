// SPDX-License-Identifier: Apache-2.0
#include "metrics/scrape_table.hpp"

#include "metrics/label_text.hpp"
#include "metrics/series_store.hpp"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <tuple>

namespace spillway::detail {

namespace {

using label_list = std::vector<prometheus::ClientMetric::Label>;

bool may_be_written(prometheus::MetricType type, const prometheus::ClientMetric& metric) {
  if (metric.label.size() > most_labels) return false;
  for (const auto& label : metric.label) {
    if (!is_label_name(label.name)) return false;
    if (type == prometheus::MetricType::Histogram && label.name == "le") return false;
    if (type == prometheus::MetricType::Summary && label.name == "quantile") return false;
  }
  const auto& buckets = metric.histogram.bucket;
  return std::adjacent_find(buckets.begin(), buckets.end(),
                            [](const auto& a, const auto& b) { return !(a.upper_bound < b.upper_bound); }) == buckets.end() &&
         std::none_of(buckets.begin(), buckets.end(), [](const auto& bucket) { return std::isnan(bucket.upper_bound); });
}

/// The same for the same series however it is written: labels sorted, those with an empty value left out, as Prometheus sees it.
std::string series_key(label_list labels) {
  std::sort(labels.begin(), labels.end());
  std::string key;
  for (const auto& label : labels) {
    if (label.value.empty()) continue;
    key += label.name;
    key += '=';
    key += std::to_string(label.value.size());
    key += ':';
    key += label.value;
  }
  return key;
}

/// Adds `from` to `to`. False if their buckets differ.
bool merge(prometheus::MetricType type, const prometheus::ClientMetric& from, prometheus::ClientMetric& to) {
  if (type == prometheus::MetricType::Histogram) {
    auto& buckets = to.histogram.bucket;
    const bool same = std::equal(buckets.begin(), buckets.end(), from.histogram.bucket.begin(), from.histogram.bucket.end(),
                                 [](const auto& a, const auto& b) { return a.upper_bound == b.upper_bound; });
    if (!same) return false;
    for (std::size_t i = 0; i < buckets.size(); ++i) buckets[i].cumulative_count += from.histogram.bucket[i].cumulative_count;
    to.histogram.sample_count += from.histogram.sample_count;
    to.histogram.sample_sum += from.histogram.sample_sum;
  }
  to.counter.value += from.counter.value;
  to.gauge.value += from.gauge.value;
  return true;
}

}  // namespace

std::string_view to_string(rejection why) noexcept {
  switch (why) {
    case rejection::invalid: return "invalid";
    case rejection::conflicting_type: return "conflicting_type";
    case rejection::duplicate: return "duplicate";
    case rejection::too_many_families: return "too_many_families";
    case rejection::error: return "error";
  }
  return "";
}

std::vector<std::string> sample_names(const std::string& name, prometheus::MetricType type) {
  std::vector<std::string> names{name};
  const bool histogram = type == prometheus::MetricType::Histogram;
  if (histogram) names.push_back(name + "_bucket");
  if (histogram || type == prometheus::MetricType::Summary) {
    names.push_back(name + "_sum");
    names.push_back(name + "_count");
  }
  return names;
}

scrape_table::scrape_table(admission_book& book, std::size_t series_per_family, std::size_t families)
    : book_{book}, series_per_family_{series_per_family}, most_families_{families} {}

bool scrape_table::claim_names(const std::string& name, prometheus::MetricType type) {
  const auto names = sample_names(name, type);
  for (const auto& one : names) {
    if (claims_.contains(one)) return false;
  }
  for (const auto& one : names) claims_.emplace(one, name);
  return true;
}

void scrape_table::add_own(prometheus::MetricFamily family) {
  claim_names(family.name, family.type);
  auto& made = entries_[family.name];
  made.family = std::move(family);
  made.own_keys_missing = true;
}

void scrape_table::reserve(std::string_view name, std::string_view help) {
  add_own({std::string{name}, std::string{help}, prometheus::MetricType::Counter, {}});
  entries_.find(name)->second.reserved = true;
}

void scrape_table::fill(std::string_view name, std::vector<prometheus::ClientMetric> series) {
  entries_.find(name)->second.family.metric = std::move(series);
}

scrape_table::entry* scrape_table::find_or_make(std::string_view name, std::string_view help, prometheus::MetricType type,
                                                rejection& why) {
  if (const auto found = entries_.find(name); found != entries_.end()) {
    why = rejection::conflicting_type;
    return found->second.family.type == type && !found->second.reserved ? &found->second : nullptr;
  }
  if (entries_.size() >= most_families_ || (book_.families.size() >= most_families_ && !book_.families.contains(std::string{name}))) {
    why = rejection::too_many_families;
    return nullptr;
  }
  std::string key{name};
  if (!claim_names(key, type)) {
    why = rejection::conflicting_type;
    return nullptr;
  }
  auto& made = entries_[key];
  made.family = {std::move(key), clean_text(help, longest_help), type, {}};
  return &made;
}

void scrape_table::add(std::string_view name, std::string_view help, prometheus::MetricType type, prometheus::ClientMetric metric,
                       bool capped) {
  if (!is_metric_name(name) || !may_be_written(type, metric)) return reject(name, rejection::invalid);
  for (auto& label : metric.label) {
    if (!is_clean_text(label.value, longest_label_value)) label.value = clean_text(label.value, longest_label_value);
  }
  std::sort(metric.label.begin(), metric.label.end());
  const auto same_name = [](const auto& a, const auto& b) { return a.name == b.name; };
  if (std::adjacent_find(metric.label.begin(), metric.label.end(), same_name) != metric.label.end()) {
    return reject(name, rejection::invalid);
  }

  rejection why{rejection::invalid};
  entry* const to = find_or_make(name, help, type, why);
  if (to == nullptr) return reject(name, why);
  if (to->own_keys_missing) {
    for (const auto& own : to->family.metric) to->keys.insert(series_key(own.label));
    to->own_keys_missing = false;
  }
  auto key = series_key(metric.label);
  if (!to->keys.insert(key).second) return reject(name, rejection::duplicate);
  if (capped && !metric.label.empty() && !book_.families[to->family.name].admitted.contains(key)) {
    to->newcomers.emplace_back(std::move(key), std::move(metric));
  } else {
    to->family.metric.push_back(std::move(metric));
  }
}

void scrape_table::admit(entry& to, admission_book::family& admission) {
  if (!admission.full) {
    std::erase_if(admission.admitted, [&to](const auto& key) { return !to.keys.contains(key); });
    admission.full = admission.admitted.size() + to.newcomers.size() > series_per_family_;
    for (auto& [key, metric] : to.newcomers) {
      if (admission.admitted.size() == series_per_family_) break;
      admission.admitted.insert(std::move(key));
      to.family.metric.push_back(std::move(metric));
      key.clear();  // taken
    }
  }
  for (auto& [key, metric] : to.newcomers) {
    if (key.empty()) continue;
    if (add_overflow(to, std::move(metric))) {
      ++admission.dropped;
    } else {
      reject(to.family.name, rejection::conflicting_type);
    }
  }
}

bool scrape_table::add_overflow(entry& to, prometheus::ClientMetric metric) {
  for (auto& label : metric.label) label.value = other_value;
  auto key = series_key(metric.label);
  if (const auto found = to.overflow.find(key); found != to.overflow.end()) {
    return merge(to.family.type, metric, to.family.metric[found->second]);
  }
  // A source may have a series of that name by itself; then it is the one.
  const auto same = std::find_if(to.family.metric.begin(), to.family.metric.end(),
                                 [&key](const auto& other) { return series_key(other.label) == key; });
  if (same != to.family.metric.end()) {
    to.overflow.emplace(std::move(key), static_cast<std::size_t>(same - to.family.metric.begin()));
    return merge(to.family.type, metric, *same);
  }
  to.overflow.emplace(std::move(key), to.family.metric.size());
  to.family.metric.push_back(std::move(metric));
  return true;
}

void scrape_table::reject(std::string_view name, rejection why) {
  admission_book::rejected_key key{clean_text(name, longest_label_value), why};
  auto found = book_.rejected.find(key);
  if (found == book_.rejected.end()) {
    if (book_.rejected.size() >= most_families_) key.metric = other_value;
    bool made{false};
    std::tie(found, made) = book_.rejected.try_emplace(key, 0);
    if (made) book_.news.push_back(key);
  }
  ++found->second;
}

void scrape_table::settle() {
  for (auto& [name, admission] : book_.families) {
    if (const auto seen = entries_.find(name); seen != entries_.end()) admit(seen->second, admission);
  }
  std::erase_if(book_.families, [this](const auto& one) { return !one.second.full && !entries_.contains(one.first); });
}

std::vector<prometheus::MetricFamily> scrape_table::take() {
  std::vector<prometheus::MetricFamily> families;
  for (auto& [name, one] : entries_) {
    if (!one.family.metric.empty()) families.push_back(std::move(one.family));
  }
  return families;
}

}  // namespace spillway::detail
