// SPDX-License-Identifier: Apache-2.0
#include "rejection.hpp"
#include "route_table.hpp"
#include "server_body.hpp"

#include <array>
#include <chrono>
#include <string>
#include <string_view>

namespace spillway {

namespace {

using namespace std::chrono_literals;

/// From what a cached answer takes to what a client gives up on.
constexpr std::array<std::chrono::nanoseconds, 16> bounds{500us, 1ms,   2500us, 5ms, 10ms, 25ms, 50ms, 75ms,
                                                          100ms, 250ms, 500ms,  1s,  2500ms, 5s, 7500ms, 10s};

class writer {
 public:
  writer(std::string_view server, metric_writer& out) : server_{server}, out_{out} {}

  void durations(http_method method, std::string_view route, const detail::route_stats& stats) {
    stats.for_each([&](int status, const latency_histogram& histogram) {
      const auto code = status == detail::route_stats::other_status ? std::string{"_OTHER"} : std::to_string(status);
      const std::array<metric_label, 4> labels{{{"server", server_},
                                                {"http_request_method", to_string(method)},
                                                {"http_route", route},
                                                {"http_response_status_code", code}}};
      out_.histogram("http_server_request_duration_seconds", "Time from the first byte of a request to the end of its response.", labels,
                     histogram.snapshot(), bounds);
    });
  }

  void counter(std::string_view name, std::string_view help, std::string_view label, std::string_view value, double number) {
    const std::array<metric_label, 2> labels{{{"server", server_}, {label, value}}};
    out_.counter(name, help, labels, number);
  }
  void counter(std::string_view name, std::string_view help, double number) {
    const metric_label label{"server", server_};
    out_.counter(name, help, {&label, 1}, number);
  }
  void gauge(std::string_view name, std::string_view help, double number) {
    const metric_label label{"server", server_};
    out_.gauge(name, help, {&label, 1}, number);
  }

 private:
  std::string_view server_;
  metric_writer& out_;
};

}  // namespace

void write_metrics(const http_server& server, std::string_view name, metric_writer& out) {
  const auto& shared = *server.body_->shared;
  const auto& table = *shared.table;
  writer to{name, out};
  for (const auto& entry : table.entries()) {
    to.durations(entry->method, entry->pattern, entry->stats);
    to.durations(http_method::head, entry->pattern, entry->head_stats);
  }
  for (std::size_t i = 0; i < detail::method_count; ++i) {
    const auto method = static_cast<http_method>(i);
    to.durations(method, "_unmatched", table.fallback_stats(method));
  }
  const auto stats = server.stats();
  const auto& counters = shared.counters;
  to.gauge("http_server_active_requests", "Requests being answered.", static_cast<double>(stats.requests_active));
  to.gauge("spillway_http_connections", "Open connections.", static_cast<double>(stats.connections_open));
  to.counter("spillway_http_connections_accepted_total", "Connections accepted.", static_cast<double>(stats.connections_accepted));
  to.counter("spillway_http_accept_failures_total", "Connections that the system could not hand over.",
             static_cast<double>(counters.accept_failures.value()));
  constexpr std::string_view abandoned{"spillway_http_abandoned_total"};
  constexpr std::string_view abandoned_help{"Requests whose response was not sent in full."};
  to.counter(abandoned, abandoned_help, "outcome", "client_gone", static_cast<double>(counters.client_gone.value()));
  to.counter(abandoned, abandoned_help, "outcome", "cut_off", static_cast<double>(counters.cut_off.value()));
  for (std::size_t i = 0; i < counters.rejected.size(); ++i) {
    to.counter("spillway_http_rejected_total", "Requests and connections refused before any handler ran.", "reason",
               detail::rejections[i].label, static_cast<double>(counters.rejected[i].value()));
  }
}

}  // namespace spillway
