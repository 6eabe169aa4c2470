// SPDX-License-Identifier: Apache-2.0
// The real promtool reads what we write.
#include <spillway/metrics/metrics_registry.hpp>
#include <spillway/metrics/process_collector.hpp>

#include "support/temp_dir.hpp"

#include <doctest/doctest.h>
#include <fmt/format.h>
#include <prometheus/gauge.h>
#include <prometheus/registry.h>
#include <prometheus/summary.h>
#include <prometheus/text_serializer.h>
#include <sys/wait.h>

#include <array>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <random>
#include <string>

using namespace spillway;
using namespace std::chrono_literals;

namespace {

struct verdict {
  int exit_code;
  std::string said;
};

verdict promtool(const std::string& text) {
  const tests::temp_dir folder;
  const auto file = folder.write("text", text);
  const auto said = (folder.path() / "said").string();
  const int status = std::system(fmt::format("promtool check metrics < {} > {} 2>&1", file, said).c_str());
  std::ifstream output{said};
  return {WIFEXITED(status) ? WEXITSTATUS(status) : -1, {std::istreambuf_iterator<char>{output}, {}}};
}

void check_clean(const std::string& text) {
  const auto given = promtool(text);
  CHECK_MESSAGE(given.exit_code == 0, given.said, text);
  CHECK_MESSAGE(given.said.empty(), given.said);
}

}  // namespace

TEST_CASE("promtool.finds_a_fault_when_there_is_one") {
  CHECK(promtool("# HELP a_total A.\n# TYPE a_total counter\na_total 1\n").exit_code == 0);
  CHECK(promtool("# HELP a_total bad \\q escape\n# TYPE a_total counter\na_total 1\n").exit_code != 0);
  CHECK(promtool("# HELP a A.\n# TYPE a counter\na 1\n").exit_code != 0);
}

TEST_CASE("promtool.is_content_with_a_registry_of_everything") {
  metrics_registry registry{{.series_per_family = 3}};
  const process_collector process;
  const auto binding = bind(registry, "process", process);
  registry.add_counter("orders_total", "Orders.").add(3);
  const auto family = registry.add_counter_family("sent_total", "Sent.", {"kind"});
  for (int i = 0; i < 10; ++i) family.with({std::to_string(i)}).add();
  auto wait = registry.add_histogram_family("wait_seconds", "Wait.", {"queue"}).with({"mail"});
  wait.record(3ms);
  registry.add_gauge("depth", "Depth.").set(-1.25e-9);
  prometheus::BuildSummary().Name("theirs_seconds").Help("Theirs.").Register(*registry.native())
      .Add({}, prometheus::Summary::Quantiles{{0.5, 0.05}}).Observe(1);
  (void)expose(registry);
  check_clean(expose(registry));
}

TEST_CASE("promtool.is_content_with_hostile_texts") {
  metrics_registry registry;
  const std::string hostile{
      "quote\" back\\slash \\n line\nfeed \r tab\t {brace}=\"1\" # HELP \xFF\xC0\xAF\xED\xA0\x80 \xF0\x9F\x98\x80 end\\"};
  std::string with_nul{"nul"};
  with_nul += '\0';
  const auto family = registry.add_counter_family("seen_total", hostile, {"value"});
  family.with({hostile}).add();
  family.with({with_nul}).add();
  family.with({"\n"}).add();
  family.with({"\\"}).add();
  family.with({"\""}).add();
  family.with({""}).add();
  prometheus::BuildGauge().Name("theirs").Help(hostile).Register(*registry.native()).Add({{"value", hostile}}).Set(1);
  const auto bound = registry.bind_writer("hostile", [&hostile](metric_writer& out) {
    const std::array<metric_label, 1> labels{{{"value", hostile}}};
    out.gauge("bound", hostile, labels, 1);
    out.gauge(hostile, hostile, labels, 1);
  });
  (void)expose(registry);
  check_clean(expose(registry));
}

TEST_CASE("promtool.is_content_with_random_bytes") {
  const auto seed = std::random_device{}();
  INFO("seed ", seed);
  std::mt19937 generator{seed};
  std::uniform_int_distribution<int> byte{0, 255};
  const auto bytes = [&] {
    std::string text(1 + static_cast<std::size_t>(byte(generator)) % 40, ' ');
    for (auto& c : text) c = static_cast<char>(byte(generator));
    return text;
  };
  metrics_registry registry;
  for (int i = 0; i < 50; ++i) {
    const auto family = registry.add_counter_family(fmt::format("f{}_total", i), "H" + bytes(), {"value"});
    for (int k = 0; k < 20; ++k) family.with({bytes()}).add();
  }
  check_clean(expose(registry));
}

TEST_CASE("promtool.refuses_the_help_text_as_the_library_below_writes_it") {
  // The reason for our own serializer; once this fails, prometheus-cpp has been mended.
  prometheus::Registry registry;
  prometheus::BuildGauge().Name("theirs").Help("back\\slash \\q").Register(registry).Add({}).Set(1);
  CHECK(promtool(prometheus::TextSerializer{}.Serialize(registry.Collect())).exit_code != 0);
}
