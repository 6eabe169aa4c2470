// SPDX-License-Identifier: Apache-2.0
#include "metrics/has_line.hpp"

#include <spillway/metrics/metrics_registry.hpp>

#include <spillway/core/version.hpp>

#include <doctest/doctest.h>
#include <prometheus/counter.h>
#include <prometheus/gauge.h>
#include <prometheus/registry.h>
#include <prometheus/text_serializer.h>

#include <malloc.h>

#include <array>
#include <atomic>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

using namespace std::chrono_literals;

namespace shop {

struct queue {
  double depth{0};
  std::atomic<double> sold{0};
};

void write_metrics(const queue& object, std::string_view name, spillway::metric_writer& out) {
  const std::array<spillway::metric_label, 1> labels{{{"queue", name}}};
  out.gauge("queue_depth", "Waiting.", labels, object.depth);
  out.counter("queue_sold_total", "Sold.", labels, object.sold.load());
}

struct liar {};
void write_metrics(const liar&, std::string_view, spillway::metric_writer& out) {
  out.counter("queue_depth", "Not a gauge.", {}, 1);
  out.gauge("bad name", "No name.", {}, 1);
  throw std::runtime_error{"half way"};
}

struct timer {
  spillway::latency_histogram durations;
};
void write_metrics(const timer& object, std::string_view, spillway::metric_writer& out) {
  constexpr std::array<std::chrono::nanoseconds, 2> bounds{1ms, 1s};
  out.histogram("timer_seconds", "Durations.", {}, object.durations.snapshot(), bounds);
}

}  // namespace shop

using namespace spillway;
using testing::has_line;

namespace {

std::size_t count_of(const std::string& text, std::string_view part) {
  std::size_t count{0};
  for (std::size_t at = 0; (at = text.find(part, at)) != std::string::npos; ++at) ++count;
  return count;
}

template <class Add>
std::string refusal(Add add) {
  try {
    add();
  } catch (const std::invalid_argument& refused) {
    return refused.what();
  }
  return "taken";
}

}  // namespace

TEST_CASE("metrics_registry.exports_two_objects_of_one_kind_as_one_family") {
  metrics_registry registry;
  shop::queue mail, print;
  mail.depth = 3;
  print.sold = 7;
  const auto one = bind(registry, "mail", mail);
  const auto two = bind(registry, "print", print);
  const auto text = expose(registry);
  CHECK(has_line(text, "queue_depth{queue=\"mail\"} 3"));
  CHECK(has_line(text, "queue_sold_total{queue=\"print\"} 7"));
  CHECK(count_of(text, "# TYPE queue_depth ") == 1);
  CHECK(count_of(text, "# HELP queue_depth ") == 1);
}

TEST_CASE("metrics_registry.asks_a_bound_object_at_each_scrape_until_it_is_unbound") {
  metrics_registry registry;
  shop::queue mail;
  auto binding = bind(registry, "mail", mail);
  mail.depth = 1;
  CHECK(has_line(expose(registry), "queue_depth{queue=\"mail\"} 1"));
  mail.depth = 2;
  CHECK(has_line(expose(registry), "queue_depth{queue=\"mail\"} 2"));
  auto moved = std::move(binding);
  CHECK(has_line(expose(registry), "queue_depth{queue=\"mail\"} 2"));
  moved.reset();
  moved.reset();
  CHECK(expose(registry).find("queue_depth") == std::string::npos);
}

TEST_CASE("metrics_registry.assigning_a_binding_ends_the_one_before") {
  metrics_registry registry;
  shop::queue mail, print;
  auto binding = bind(registry, "mail", mail);
  binding = bind(registry, "print", print);
  const auto text = expose(registry);
  CHECK(text.find("mail") == std::string::npos);
  CHECK(text.find("print") != std::string::npos);
}

TEST_CASE("metrics_registry.a_binding_may_outlive_the_registry") {
  auto registry = std::make_unique<metrics_registry>();
  shop::queue mail;
  auto binding = bind(*registry, "mail", mail);
  const auto native = registry->native();
  registry.reset();
  CHECK(native->Collect().empty());
  binding.reset();
}

TEST_CASE("metrics_registry.writes_durations_in_seconds") {
  metrics_registry registry;
  shop::timer timer;
  timer.durations.record(100us);
  timer.durations.record(500ms);
  timer.durations.record(1h);
  const auto binding = bind(registry, "timer", timer);
  const auto text = expose(registry);
  CHECK(has_line(text, "timer_seconds_bucket{le=\"0.001\"} 1"));
  CHECK(has_line(text, "timer_seconds_bucket{le=\"1\"} 2"));
  CHECK(has_line(text, "timer_seconds_bucket{le=\"+Inf\"} 3"));
  CHECK(has_line(text, "timer_seconds_count 3"));
  CHECK(has_line(text, "timer_seconds_sum 3600.5001"));
}

TEST_CASE("metrics_registry.what_contradicts_itself_is_kept_out_counted_and_logged_once") {
  std::vector<std::string> logged;
  metrics_registry registry{{.log = [&logged](const log_event& event) {
    logged.push_back(std::string{event.fields[0].value} + " " + std::string{event.fields[1].value});
  }}};
  shop::queue mail, again;
  const shop::liar liar;
  const auto one = bind(registry, "mail", mail);
  const auto two = bind(registry, "mail", again);  // the same series
  const auto three = bind(registry, "liar", liar);
  (void)expose(registry);
  const auto text = expose(registry);
  CHECK(count_of(text, "\nqueue_depth{queue=\"mail\"}") == 1);
  CHECK(count_of(text, "# TYPE queue_depth ") == 1);
  CHECK(has_line(text, "spillway_metrics_rejected_series_total{metric=\"queue_depth\",reason=\"duplicate\"} 2"));
  CHECK(has_line(text, "spillway_metrics_rejected_series_total{metric=\"queue_depth\",reason=\"conflicting_type\"} 2"));
  CHECK(has_line(text, "spillway_metrics_rejected_series_total{metric=\"bad name\",reason=\"invalid\"} 2"));
  CHECK(has_line(text, "spillway_metrics_rejected_series_total{metric=\"liar\",reason=\"error\"} 2"));
  CHECK(logged.size() == 5);  // queue_sold_total comes twice as well
}

TEST_CASE("metrics_registry.nobody_else_adds_to_its_own_numbers") {
  metrics_registry registry;
  (void)registry.add_counter_family("mails_total", "Mails.", {"kind"});
  const auto binding = registry.bind_writer("liar", [](metric_writer& out) {
    const std::array<metric_label, 2> rejected{{{"metric", "bad name"}, {"reason", "invalid"}}};
    out.counter("spillway_metrics_rejected_series_total", "Mine.", rejected, 7);
    const std::array<metric_label, 1> dropped{{{"metric", "mails_total"}}};
    out.counter("spillway_metrics_dropped_label_sets_total", "Mine.", dropped, 7);
    out.gauge("bad name", "No name.", {}, 1);
  });
  const auto text = expose(registry);
  CHECK(count_of(text, "\nspillway_metrics_rejected_series_total{metric=\"bad name\",reason=\"invalid\"} ") == 1);
  CHECK(count_of(text, "\nspillway_metrics_dropped_label_sets_total{metric=\"mails_total\"} ") == 1);
  for (const auto* name : {"spillway_metrics_rejected_series_total", "spillway_metrics_dropped_label_sets_total"}) {
    CHECK(has_line(text, "spillway_metrics_rejected_series_total{metric=\"" + std::string{name} + "\",reason=\"conflicting_type\"} 1"));
  }
}

TEST_CASE("metrics_registry.bindings_that_ended_take_no_memory_even_if_nobody_scrapes") {
  metrics_registry registry;
  const auto before = ::mallinfo2().uordblks;
  for (int i = 0; i < 100'000; ++i) (void)registry.bind_writer("object", [](metric_writer&) {});
  CHECK(::mallinfo2().uordblks < before + 1'000'000);
}

TEST_CASE("metrics_registry.bound_objects_are_capped_too") {
  metrics_registry registry{{.series_per_family = 2}};
  std::vector<std::unique_ptr<shop::queue>> queues;
  std::vector<metric_binding> bindings;
  for (int i = 0; i < 5; ++i) {
    queues.push_back(std::make_unique<shop::queue>());
    queues.back()->sold = 10;
    bindings.push_back(bind(registry, std::to_string(i), *queues.back()));
  }
  const auto text = expose(registry);
  CHECK(count_of(text, "\nqueue_sold_total{") == 3);
  CHECK(has_line(text, "queue_sold_total{queue=\"other\"} 30"));
  CHECK(has_line(text, "spillway_metrics_dropped_label_sets_total{metric=\"queue_sold_total\"} 3"));
}

TEST_CASE("metrics_registry.tells_its_version") {
  metrics_registry registry;
  CHECK(expose(registry).find("spillway_build_info{version=\"" + std::string{version()} + "\",boost=\"") != std::string::npos);
}

TEST_CASE("metrics_registry.a_wrong_name_is_refused") {
  metrics_registry registry;
  CHECK(refusal([&] { (void)registry.add_counter("orders", "Orders."); }) == "metric 'orders': the name of a counter must end in _total");
  CHECK(refusal([&] { (void)registry.add_gauge("orders_total", "Orders."); }) ==
        "metric 'orders_total': only the name of a counter may end in _total");
  CHECK(refusal([&] { (void)registry.add_histogram("wait", "Wait."); }) ==
        "metric 'wait': the name of a histogram of durations must end in _seconds");
  for (const auto* name : {"", "1_total", "Orders_total", "a-b_total", "a:b_total", "a b_total"}) {
    CHECK_MESSAGE(refusal([&] { (void)registry.add_counter(name, "Orders."); }).find("must be 1 to 200 of [a-z0-9_]") != std::string::npos,
                  name);
  }
  CHECK(refusal([&] { (void)registry.add_counter("orders_total", ""); }) ==
        "metric 'orders_total': the help text is empty; it must say what is counted");
}

TEST_CASE("metrics_registry.a_wrong_label_name_is_refused") {
  metrics_registry registry;
  for (const auto* label : {"", "a-b", "__x", "1", "a:b"}) {
    CHECK_MESSAGE(refusal([&] { (void)registry.add_counter_family("orders_total", "Orders.", {label}); }).find("is not allowed") !=
                      std::string::npos,
                  label);
  }
  CHECK(refusal([&] { (void)registry.add_histogram_family("wait_seconds", "Wait.", {"le"}); }).find("'le' is not allowed") !=
        std::string::npos);
  CHECK(refusal([&] { (void)registry.add_counter_family("orders_total", "Orders.", {"a", "a"}); }) ==
        "metric 'orders_total': label name 'a' comes twice");
  CHECK(refusal([&] { (void)registry.add_counter_family("orders_total", "Orders.", {}); }) ==
        "metric 'orders_total': a family needs at least one label name");
  CHECK(refusal([&] {
          (void)registry.add_counter_family("orders_total", "Orders.",
                                            {"a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l", "m", "n", "o", "p", "q"});
        }) == "metric 'orders_total': 17 label names; at most 16 are allowed");
}

TEST_CASE("metrics_registry.wrong_bounds_are_refused") {
  metrics_registry registry;
  const auto with = [&registry](std::vector<std::chrono::nanoseconds> bounds) {
    return refusal([&] { (void)registry.add_histogram("wait_seconds", "Wait.", bounds); });
  };
  const std::string why{"metric 'wait_seconds': the bounds must be 1 to 64, above zero and ascending"};
  CHECK(with({}) == why);
  CHECK(with({0ns, 1ms}) == why);
  CHECK(with({2ms, 1ms}) == why);
  CHECK(with({1ms, 1ms}) == why);
  std::vector<std::chrono::nanoseconds> many;
  for (int i = 1; i <= 65; ++i) many.emplace_back(i);
  CHECK(with(many) == why);
}

TEST_CASE("metrics_registry.adding_the_same_family_again_gives_the_same_one") {
  metrics_registry registry;
  registry.add_counter_family("orders_total", "Orders.", {"kind"}).with({"a"}).add(1);
  auto again = registry.add_counter_family("orders_total", "Other words.", {"kind"}).with({"a"});
  CHECK(again.value() == 1);
  CHECK(expose(registry).find("# HELP orders_total Orders.\n") != std::string::npos);
}

TEST_CASE("metrics_registry.a_name_that_stands_for_something_else_is_refused") {
  metrics_registry registry;
  (void)registry.add_gauge_family("depth", "Depth.", {"queue"});
  (void)registry.add_histogram("wait_seconds", "Wait.");
  CHECK(refusal([&] { (void)registry.add_gauge_family("depth", "Depth.", {"shard"}); }) ==
        "metric 'depth': is there already with the labels (queue)");
  CHECK(refusal([&] { (void)registry.add_gauge("wait_seconds", "Wait."); }) == "metric 'wait_seconds': is there already with another type");
  constexpr std::array bounds{std::chrono::nanoseconds{1ms}};
  CHECK(refusal([&] { (void)registry.add_histogram("wait_seconds", "Wait.", bounds); }) ==
        "metric 'wait_seconds': is there already with other bounds");
  CHECK(refusal([&] { (void)registry.add_gauge("wait_seconds_count", "Count."); }) ==
        "metric 'wait_seconds_count': would write 'wait_seconds_count', which belongs to 'wait_seconds'");
  CHECK(refusal([&] { (void)registry.add_gauge("spillway_build_info", "Mine."); }) ==
        "metric 'spillway_build_info': would write 'spillway_build_info', which belongs to 'spillway_build_info'");
}

TEST_CASE("metrics_registry.a_bad_configuration_names_the_field") {
  CHECK_THROWS_WITH_AS(metrics_registry({.series_per_family = 0}),
                       "metrics_registry_config.series_per_family is 0; it must be in [1, 1000000]", std::invalid_argument);
  CHECK_THROWS_WITH_AS(metrics_registry({.families = 100'001}), "metrics_registry_config.families is 100001; it must be in [1, 100000]",
                       std::invalid_argument);
  metrics_registry small{{.families = 1}};
  (void)small.add_gauge("a", "A.");
  CHECK(refusal([&] { (void)small.add_gauge("b", "B."); }) == "metric 'b': is one too many; metrics_registry_config.families is 1");
}

TEST_CASE("metrics_registry.native_families_and_ours_appear_on_both_sides") {
  metrics_registry registry;
  shop::queue mail;
  const auto binding = bind(registry, "mail", mail);
  registry.add_counter("ours_total", "Ours.").add(2);
  auto& theirs = prometheus::BuildCounter().Name("theirs_total").Help("back\\slash").Register(*registry.native());
  theirs.Add({{"kind", "x"}}).Increment(5);
  const auto text = expose(registry);
  CHECK(has_line(text, "theirs_total{kind=\"x\"} 5"));
  CHECK(has_line(text, "# HELP theirs_total back\\\\slash"));
  CHECK(has_line(text, "ours_total 2"));

  const auto by_their_exposer = prometheus::TextSerializer{}.Serialize(registry.native()->Collect());
  CHECK(has_line(by_their_exposer, "ours_total 2"));
  CHECK(has_line(by_their_exposer, "theirs_total{kind=\"x\"} 5"));
  CHECK(has_line(by_their_exposer, "queue_depth{queue=\"mail\"} 0"));
}

TEST_CASE("metrics_registry.a_native_family_of_another_type_is_kept_out") {
  metrics_registry registry;
  registry.add_gauge("depth", "Ours.").set(4);
  prometheus::BuildCounter().Name("depth").Help("Theirs.").Register(*registry.native()).Add({}).Increment();
  const auto text = expose(registry);
  CHECK(has_line(text, "depth 4"));
  CHECK(count_of(text, "# TYPE depth ") == 1);
  CHECK(has_line(text, "spillway_metrics_rejected_series_total{metric=\"depth\",reason=\"conflicting_type\"} 1"));
}

TEST_CASE("metrics_registry.objects_come_and_go_while_scrapes_run") {
  metrics_registry registry;
  std::atomic<bool> done{false};
  std::vector<std::thread> scrapers;
  for (int t = 0; t < 2; ++t) {
    scrapers.emplace_back([&] {
      std::string text;
      while (!done) {
        text.clear();
        append_exposition(registry, text);
      }
    });
  }
  const auto family = registry.add_counter_family("made_total", "Made.", {"round"});
  for (int round = 0; round < 300; ++round) {
    auto object = std::make_unique<shop::queue>();
    auto binding = bind(registry, std::to_string(round % 7), *object);
    object->sold = round;
    family.with({std::to_string(round)}).add();
    if (round % 3 == 0) std::this_thread::yield();
    binding.reset();
    object->depth = 1;  // a race, if a scrape were still in it
  }
  done = true;
  for (auto& scraper : scrapers) scraper.join();
  CHECK(has_line(expose(registry), "made_total{round=\"299\"} 1"));
}
