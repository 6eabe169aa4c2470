// SPDX-License-Identifier: Apache-2.0
#include "analysis_service/service.hpp"

#include "analysis_service/analysis_queue.hpp"
#include "analysis_service/api.hpp"
#include "analysis_service/data_directory.hpp"
#include "analysis_service/file_partitions.hpp"
#include "analysis_service/postgres_database.hpp"
#include "analysis_service/project_root.hpp"
#include "analysis_service/store.hpp"

#include <spillway/core/clock.hpp>
#include <spillway/core/io_runner.hpp>
#include <spillway/db/health_check.hpp>
#include <spillway/db/sqlite.hpp>
#include <spillway/health/health_monitor.hpp>
#include <spillway/health/resource_checks.hpp>
#include <spillway/health/system_monitor.hpp>
#include <spillway/metrics/metrics_registry.hpp>
#include <spillway/metrics/process_collector.hpp>

#include <boost/asio/io_context.hpp>

#include <fmt/format.h>

#include <chrono>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace analysis {

using namespace std::chrono_literals;
using spillway::health_probe;
using spillway::http_request;
using spillway::http_response;

namespace {

spillway::io_runner_config network_threads(const service_config& config) {
  spillway::io_runner_config runner;
  runner.threads = config.http_threads;
  runner.thread_name = "http";
  return runner;
}

/// For handlers that wait for the database or the file system.
spillway::io_runner_config blocking_threads() {
  spillway::io_runner_config runner;
  runner.threads = 8;
  runner.shape = spillway::runner_shape::shared_context;
  runner.thread_name = "blocking";
  return runner;
}

spillway::database open_database(const service_config& service, const std::string& path, const spillway::log_sink& log) {
  if (!service.database_url.empty()) return open_postgres_database(service, log);
  spillway::sqlite_config config;
  config.path = path;
  config.readers = 8;
  config.database.name = "service";
  config.database.log = log;
  auto opened = spillway::open_sqlite(config);
  if (!opened) throw std::runtime_error{opened.error().what()};
  return std::move(*opened);
}

spillway::http_server_config server_config(const service_config& config, spillway::http_access_sink access, spillway::log_sink log) {
  spillway::http_server_config server;
  server.address = config.host;
  server.port = config.port;
  server.max_connections = config.max_connections;
  server.max_body_bytes = config.max_body_bytes;
  server.idle_timeout = config.idle_timeout;
  server.access = std::move(access);
  server.log = std::move(log);
  return server;
}

analysis_queue_config queue_config(const service_config& config, spillway::log_sink log) {
  return {config.analysis_threads, config.concurrent_analyses, config.max_queued_analyses, config.max_file_bytes, config.max_files, std::move(log)};
}

spillway::health_check_config check(std::string name, spillway::health_criticality criticality) {
  spillway::health_check_config config;
  config.name = std::move(name);
  config.criticality = criticality;
  config.failures_to_fail = 2;
  return config;
}

}  // namespace

struct service::impl {
  impl(const service_config& c, spillway::http_access_sink access, spillway::log_sink log)
      : config{c},
        log_to{log},
        directory{c.data_dir, "service.lock"},
        root{c.root},
        records{open_database(c, directory.file("service.db"), log)},
        network{network_threads(c)},
        blocking{blocking_threads()},
        queue{records, root, queue_config(c, log)},
        health{health_config(log)},
        system{{.disk_paths = {c.data_dir}}},
        server{server_config(c, std::move(access), std::move(log)), routes(), network} {
    if (const auto prepared = records.prepare(); !prepared) throw std::runtime_error{prepared.error().what()};
    if (records.by_month()) partitions.emplace(records.database(), c.keep_months, log_to, registry);
    using enum spillway::health_criticality;
    health.add(check("database", critical), database_health_check(records.database()));
    if (!c.database_url.empty()) health.add(check("primary", critical), primary_check(records.database()));
    if (!c.replica_urls.empty()) health.add_async(check("replicas", non_critical), replica_check(records.database(), c.max_replica_lag));
    health.add(check("disk", non_critical), spillway::disk_space_check({.path = c.data_dir}));
    health.add(check("memory", non_critical), spillway::memory_check());
    health.add(check("system", non_critical), system.check());
    for (std::size_t i = 0; i < network.context_count(); ++i) {
      health.watch_loop(fmt::format("http-{}", i), network.context(i).get_executor());
    }
    bindings.push_back(bind(registry, "process", process));
    bindings.push_back(bind(registry, "service", records.database()));
    bindings.push_back(bind(registry, "api", server));
    bindings.push_back(bind(registry, "analysis", queue));
    bindings.push_back(bind(registry, "service", health));
    bindings.push_back(bind(registry, "system", system));
  }

  /// Handlers and what they wait for refer to everything here, so their threads end first, also if nobody has called `service::stop`.
  ~impl() {
    server.stop();
    network.stop();
    blocking.stop();
  }

  static spillway::health_monitor_config health_config(const spillway::log_sink& log) {
    spillway::health_monitor_config config;
    config.log = log;
    return config;
  }

  spillway::http_router routes() {
    spillway::http_router router;
    const auto probe = [this](health_probe asked) {
      return [this, asked](http_request&) {
        const auto report = health.report(asked);
        const auto detail = config.health_details ? spillway::health_detail::full : spillway::health_detail::hidden;
        return http_response::json(to_json(report, detail), report.http_status).set("Cache-Control", "no-store");
      };
    };
    router.get("/healthz", probe(health_probe::liveness));
    router.get("/readyz", probe(health_probe::readiness));
    router.get("/startupz", probe(health_probe::startup));
    router.get("/metrics", [this](http_request&) {
      return http_response::text(expose(registry)).set("Content-Type", spillway::exposition_content_type);
    });
    add_api_routes(router, {records, queue, root, blocking.executor(), spillway::system_clock_source(), [this] { return token_system(records.database()); }});
    return router;
  }

  service_config config;
  spillway::log_sink log_to;
  data_directory directory;
  project_root root;
  store records;
  spillway::io_runner network;
  spillway::io_runner blocking;
  analysis_queue queue;
  spillway::health_monitor health;
  spillway::system_monitor system;
  spillway::metrics_registry registry;
  spillway::process_collector process;
  spillway::http_server server;
  std::vector<spillway::metric_binding> bindings;
  std::optional<file_partitions> partitions;
};

service::service(const service_config& config, spillway::http_access_sink access, spillway::log_sink log)
    : impl_{std::make_unique<impl>(config, std::move(access), std::move(log))} {}

service::~service() = default;

void service::start() {
  if (const auto started = impl_->queue.start(); !started) throw std::runtime_error{started.error().what()};
  try {
    impl_->server.start();
  } catch (const boost::system::system_error& failure) {
    throw std::runtime_error{fmt::format("cannot listen on {} port {}: {}", impl_->config.host, impl_->config.port, failure.code().message())};
  }
  impl_->health.start(impl_->network.executor());
  impl_->blocking.start();
  impl_->network.start();
}

spillway::http_endpoint service::endpoint() const { return impl_->server.local_endpoint(); }

spillway::http_drain_report service::stop() {
  const auto& clock = spillway::system_clock_source();
  impl_->health.set_draining();
  std::this_thread::sleep_for(impl_->config.drain_delay);
  auto report = impl_->server.drain(spillway::deadline::after(clock.now(), impl_->config.drain_timeout));
  impl_->queue.stop();
  impl_->blocking.drain();
  impl_->health.stop();
  impl_->network.stop();
  impl_->partitions.reset();
  if (const auto closed = impl_->records.database().close(); !closed) throw std::runtime_error{closed.error().what()};
  return report;
}

}  // namespace analysis
