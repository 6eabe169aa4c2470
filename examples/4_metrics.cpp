// SPDX-License-Identifier: Apache-2.0
// Counts some work, binds an object that keeps its own numbers, and prints what Prometheus would read.
#include <spillway/metrics/metrics_registry.hpp>
#include <spillway/metrics/process_collector.hpp>

#include <array>
#include <chrono>
#include <cstdio>
#include <string>

namespace mail {

struct outbox {
  int waiting{0};
};

void write_metrics(const outbox& object, std::string_view name, spillway::metric_writer& out) {
  const std::array<spillway::metric_label, 1> labels{{{"outbox", name}}};
  out.gauge("outbox_waiting", "Mails not sent yet.", labels, object.waiting);
}

}  // namespace mail

int main() {
  using namespace std::chrono_literals;
  spillway::metrics_registry registry{{.series_per_family = 2}};  // far too low, to see what happens

  mail::outbox newsletter;
  const auto newsletter_metrics = bind(registry, "newsletter", newsletter);
  const spillway::process_collector process;
  const auto process_metrics = bind(registry, "process", process);

  const auto sent = registry.add_counter_family("mails_sent_total", "Mails sent.", {"country"});
  auto duration = registry.add_histogram("mail_duration_seconds", "Time to hand one mail over.");
  for (const auto* country : {"nl", "pl", "pt", "nl", "se"}) {  // the third country no longer gets a series of its own
    sent.with({country}).add();
    duration.record(12ms);
  }
  newsletter.waiting = 7;  // asked for at the scrape

  const std::string page = expose(registry);
  std::fputs(page.c_str(), stdout);
  const bool right = page.find("mails_sent_total{country=\"other\"} 2\n") != std::string::npos &&
                     page.find("outbox_waiting{outbox=\"newsletter\"} 7\n") != std::string::npos;
  return right ? 0 : 1;
}
