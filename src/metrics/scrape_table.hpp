// SPDX-License-Identifier: Apache-2.0
// The pure core of a scrape: brings what many sources emit together into families that contradict neither themselves nor each other.
#pragma once

#include <prometheus/metric_family.h>

#include <compare>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

namespace spillway::detail {

enum class rejection : std::uint8_t {
  invalid,            ///< A name, label or bucket that may not be written.
  conflicting_type,   ///< The name, or one of its samples' names, stands for something else.
  duplicate,          ///< The series is there already.
  too_many_families,  ///< No place for another family.
  error,              ///< The source threw.
};
[[nodiscard]] std::string_view to_string(rejection why) noexcept;

/// What is remembered from one scrape to the next. A family that had more series in one scrape than it may have takes no new ones ever
/// after, so that no series moves out of `other` again, which would read as a counter that was reset.
struct admission_book {
  struct family {
    std::unordered_set<std::string> admitted;
    std::uint64_t dropped{0};
    bool full{false};
  };
  struct rejected_key {
    std::string metric;
    rejection why;
    auto operator<=>(const rejected_key&) const = default;
  };
  std::unordered_map<std::string, family> families;
  std::map<rejected_key, std::uint64_t> rejected;
  std::vector<rejected_key> news;  // rejections never seen before; the shell takes them out to log them
};

/// One scrape. Sources added first win.
class scrape_table {
 public:
  /// `book` outlives the table.
  scrape_table(admission_book& book, std::size_t series_per_family, std::size_t families);

  /// A family known to be consistent, with each series once; `help` and type hold even if it has no series yet.
  void add_own(prometheus::MetricFamily family);

  /// A counter of which nobody else may add a series, and, once all else is in, its series.
  void reserve(std::string_view name, std::string_view help);
  void fill(std::string_view name, std::vector<prometheus::ClientMetric> series);

  /// One series from a source that knows nothing of the others. With `capped` it may end in `other`.
  void add(std::string_view name, std::string_view help, prometheus::MetricType type, prometheus::ClientMetric metric, bool capped);

  /// Counts something kept out.
  void reject(std::string_view name, rejection why);

  /// Once all sources are in: decides what goes to `other`, and forgets in the book what was not seen in this scrape.
  void settle();

  /// All families that have series, sorted by name.
  [[nodiscard]] std::vector<prometheus::MetricFamily> take();

 private:
  struct entry {
    prometheus::MetricFamily family;
    std::unordered_set<std::string> keys;  // of the series from `add`, and from `add_own` once needed
    std::vector<std::pair<std::string, prometheus::ClientMetric>> newcomers;  // series to be admitted at the end, with their keys
    std::unordered_map<std::string, std::size_t> overflow;
    bool own_keys_missing{false};
    bool reserved{false};
  };

  entry* find_or_make(std::string_view name, std::string_view help, prometheus::MetricType type, rejection& why);
  bool claim_names(const std::string& name, prometheus::MetricType type);
  void admit(entry& to, admission_book::family& admission);
  static bool add_overflow(entry& to, prometheus::ClientMetric metric);

  admission_book& book_;
  std::size_t series_per_family_;
  std::size_t most_families_;
  std::map<std::string, entry, std::less<>> entries_;
  std::unordered_map<std::string, std::string> claims_;  // name of a sample -> family
};

/// The names of the samples a family writes.
[[nodiscard]] std::vector<std::string> sample_names(const std::string& name, prometheus::MetricType type);

}  // namespace spillway::detail
