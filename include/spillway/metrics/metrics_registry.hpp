// SPDX-License-Identifier: Apache-2.0
/// @file
/// All metrics of a program in one place, and their text as Prometheus reads it.
#pragma once

#include <spillway/core/export.hpp>
#include <spillway/core/log.hpp>
#include <spillway/core/metric_writer.hpp>
#include <spillway/metrics/instruments.hpp>

#include <array>
#include <chrono>
#include <concepts>
#include <cstddef>
#include <functional>
#include <initializer_list>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

namespace prometheus {
class Registry;
}

namespace spillway {

namespace detail {
class binding_slot;
}

/// For the durations of requests: 5 ms to 10 s.
inline constexpr std::array<std::chrono::nanoseconds, 14> default_duration_bounds{
    std::chrono::milliseconds{5},   std::chrono::milliseconds{10},  std::chrono::milliseconds{25},    std::chrono::milliseconds{50},
    std::chrono::milliseconds{75},  std::chrono::milliseconds{100}, std::chrono::milliseconds{250},   std::chrono::milliseconds{500},
    std::chrono::milliseconds{750}, std::chrono::seconds{1},        std::chrono::milliseconds{2'500}, std::chrono::seconds{5},
    std::chrono::milliseconds{7'500}, std::chrono::seconds{10}};

struct metrics_registry_config {
  /// Series one family may have; what comes after is summed up in one more, whose label values are `other`. In [1, 1,000,000].
  std::size_t series_per_family{1'000};
  /// Families exported at most. In [1, 100,000].
  std::size_t families{2'000};
  /// Told once of each family of which something had to be kept out.
  log_sink log{};
};

/// Keeps an object bound to a registry; destroyed, the object is no longer asked. Move-only.
///
/// Threads:  one at a time; it may end while a scrape runs, and then waits until the scrape has left the object.
/// Lifetime: ends before its object does. May outlive the registry.
class SPILLWAY_EXPORT metric_binding {
 public:
  metric_binding() noexcept;
  metric_binding(metric_binding&& other) noexcept;
  metric_binding& operator=(metric_binding&& other) noexcept;
  ~metric_binding();

  /// Unbinds now. Safe to call again. Never from the object's own `write_metrics`.
  void reset() noexcept;

 private:
  friend class metrics_registry;
  explicit metric_binding(std::shared_ptr<detail::binding_slot> slot) noexcept;
  std::shared_ptr<detail::binding_slot> slot_;
};

/// An object that can describe itself by `write_metrics`, see metric_writer.hpp.
template <class T>
concept metric_source =
    requires(const T& object, std::string_view name, metric_writer& out) { write_metrics(object, name, out); };

/// Holds instruments, bound objects and the metrics of a prometheus::Registry, and exports them together.
///
///     metrics_registry registry;
///     counter orders = registry.add_counter("orders_total", "Orders taken.");
///     metric_binding pool_metrics = bind(registry, "orders", pool);
///     reply(expose(registry), exposition_content_type);
///
/// Whatever contradicts itself is kept out of the text, never written wrongly: a second type for a family, a series that comes twice, a name
/// or label that is not valid. It is counted in `spillway_metrics_rejected_series_total` and logged once. `spillway_build_info` is always
/// part of the text, and so are the registry's own numbers once there is something to count; nobody else can add to those.
///
/// Threads:  every member may be called from any thread. Scrapes take turns.
/// Lifetime: instruments, families and bindings may outlive it.
/// Errors:   members that add throw std::invalid_argument naming the metric: a name or label that is not valid, or a name that stands for
///           another type, other labels or other bounds. Adding what is there already gives the same family.
/// Cost:     a scrape is linear in the number of series, and blocks no instrument.
class SPILLWAY_EXPORT metrics_registry {
 public:
  explicit metrics_registry(const metrics_registry_config& config = {});
  ~metrics_registry();
  metrics_registry(const metrics_registry&) = delete;
  metrics_registry& operator=(const metrics_registry&) = delete;

  /// Names are snake_case. A counter's ends in `_total`, a histogram's in `_seconds`; `help` is a sentence, never empty.
  [[nodiscard]] counter add_counter(std::string_view name, std::string_view help);
  [[nodiscard]] gauge add_gauge(std::string_view name, std::string_view help);
  /// `bounds` ascend and are above zero, 1 to 64 of them.
  [[nodiscard]] histogram add_histogram(std::string_view name, std::string_view help,
                                        std::span<const std::chrono::nanoseconds> bounds = default_duration_bounds);

  /// `label_names`: 1 to 16, valid, all different, not beginning with `__`.
  [[nodiscard]] counter_family add_counter_family(std::string_view name, std::string_view help,
                                                  std::initializer_list<std::string_view> label_names);
  [[nodiscard]] gauge_family add_gauge_family(std::string_view name, std::string_view help,
                                              std::initializer_list<std::string_view> label_names);
  [[nodiscard]] histogram_family add_histogram_family(std::string_view name, std::string_view help,
                                                      std::initializer_list<std::string_view> label_names,
                                                      std::span<const std::chrono::nanoseconds> bounds = default_duration_bounds);

  /// Asks `write` for metrics at every scrape. It must not use this registry. If it throws, what it wrote before counts, and `name` is told
  /// with the reason `error`. `bind` is the usual way here.
  [[nodiscard]] metric_binding bind_writer(std::string name, std::function<void(metric_writer&)> write);

  /// The prometheus-cpp registry. Families added to it appear in `expose`, and its Collect() gives everything this registry has, so that a
  /// prometheus::Exposer can serve it.
  [[nodiscard]] std::shared_ptr<prometheus::Registry> native() const noexcept;

 private:
  friend SPILLWAY_EXPORT void append_exposition(const metrics_registry& registry, std::string& out);
  struct impl;
  std::shared_ptr<impl> impl_;
};

/// Exports a live object's metrics under `name` until the binding ends. The object is asked at each scrape. The name is a template so that
/// std::bind, which a std::string brings in, is never the better match.
template <std::convertible_to<std::string> Name, class T>
  requires metric_source<T>
[[nodiscard]] metric_binding bind(metrics_registry& registry, Name&& name, T& object) {
  std::string bound_as{std::forward<Name>(name)};
  return registry.bind_writer(bound_as, [bound_as, &object](metric_writer& out) {
    write_metrics(std::as_const(object), std::string_view{bound_as}, out);
  });
}
template <std::convertible_to<std::string> Name, class T>
  requires(!std::is_lvalue_reference_v<T>)
metric_binding bind(metrics_registry& registry, Name&& name, T&& temporary) = delete;

/// What `expose` writes: the text format, version 0.0.4.
inline constexpr std::string_view exposition_content_type{"text/plain; version=0.0.4; charset=utf-8"};

[[nodiscard]] SPILLWAY_EXPORT std::string expose(const metrics_registry& registry);

/// As `expose`, at the end of `out`, whose memory can be used again.
SPILLWAY_EXPORT void append_exposition(const metrics_registry& registry, std::string& out);

}  // namespace spillway
