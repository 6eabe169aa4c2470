// SPDX-License-Identifier: Apache-2.0
// The code of docs/guide/metrics.md.
#include <spillway/metrics/metrics_registry.hpp>
#include <spillway/metrics/process_collector.hpp>

#include <doctest/doctest.h>
#include <prometheus/counter.h>
#include <prometheus/registry.h>

#include <array>
#include <string>

using namespace spillway;
using namespace std::chrono_literals;

// [bindable]
namespace shop {

struct warehouse {
  int parcels{0};
};

void write_metrics(const warehouse& object, std::string_view name, metric_writer& out) {
  const std::array<metric_label, 1> labels{{{"warehouse", name}}};
  out.gauge("warehouse_parcels", "Parcels in store.", labels, object.parcels);
}

}  // namespace shop
// [bindable]

TEST_CASE("guide.metrics_instruments") {
  // [instruments]
  metrics_registry registry;
  counter orders = registry.add_counter("orders_total", "Orders taken.");
  counter_family mails = registry.add_counter_family("mails_total", "Mails sent.", {"kind", "result"});
  counter welcome = mails.with({"welcome", "ok"});  // look it up once, keep it
  histogram packing = registry.add_histogram("packing_duration_seconds", "Time to pack one parcel.");

  orders.add();
  welcome.add(3);
  packing.record(40ms);

  std::string page = expose(registry);  // send it with the content type exposition_content_type
  // [instruments]
  CHECK(page.find("mails_total{kind=\"welcome\",result=\"ok\"} 3\n") != std::string::npos);
  CHECK(page.find("packing_duration_seconds_bucket{le=\"0.05\"} 1\n") != std::string::npos);
}

TEST_CASE("guide.metrics_bind") {
  metrics_registry registry;
  // [bind]
  shop::warehouse north;
  metric_binding north_metrics = bind(registry, "north", north);
  process_collector process;
  metric_binding process_metrics = bind(registry, "process", process);
  // [bind]
  north.parcels = 12;
  CHECK(expose(registry).find("warehouse_parcels{warehouse=\"north\"} 12\n") != std::string::npos);
}

TEST_CASE("guide.metrics_native") {
  // [native]
  metrics_registry registry;
  auto& family = prometheus::BuildCounter().Name("legacy_total").Help("Counted the old way.").Register(*registry.native());
  family.Add({}).Increment();
  std::string page = expose(registry);  // legacy_total is in it
  // exposer.RegisterCollectable(registry.native());   and ours are in what a prometheus::Exposer serves
  // [native]
  CHECK(page.find("legacy_total 1\n") != std::string::npos);
}
