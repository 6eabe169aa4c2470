// SPDX-License-Identifier: Apache-2.0
#include "analysis_service/analysis_queue.hpp"

#include "analysis_service/analysis_run.hpp"
#include "analyzer/text_encoding.hpp"

#include <spillway/core/backoff.hpp>
#include <spillway/core/latency_histogram.hpp>
#include <spillway/core/striped_counter.hpp>

#include <algorithm>
#include <array>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <map>
#include <mutex>
#include <optional>
#include <random>
#include <stop_token>
#include <thread>
#include <utility>
#include <vector>

namespace analysis {

using spillway::result;

struct analysis_queue::impl {
  /// An analysis on a worker.
  struct active_run {
    std::stop_source stop;
    bool cancelled{false};   ///< By a client, unlike a stop of the server.
    bool completing{false};  ///< Too late to cancel.
    analysis_progress progress;
  };

  impl(store& r, const project_root& d, const analysis_queue_config& c, const spillway::clock_source& k)
      : records{r}, root{d}, config{c}, clock{k} {}

  unix_ms now() const { return std::chrono::duration_cast<std::chrono::milliseconds>(clock.wall_now().time_since_epoch()).count(); }

  void log(spillway::log_level level, std::string_view message, std::int64_t analysis_id, std::string_view detail) const {
    if (!config.log) return;
    const auto id = std::to_string(analysis_id);
    const std::array<spillway::log_field, 2> fields{{{"analysis", id}, {"detail", detail}}};
    config.log({level, "analysis", message, std::span{fields}.first(detail.empty() ? 1 : 2)});
  }

  /// Runs a write of the store, and keeps the place of its commit.
  template <class Write>
  auto record(session_options options, Write write) {
    spillway::consistency_token own;  // the caller's may hold what a client made up, which must be nobody else's demand
    auto* const given = std::exchange(options.token, &own);
    auto done = write(options);
    note(own);
    if (given != nullptr) (void)given->merge(own);
    return done;
  }

  void note(const spillway::consistency_token& token) {
    const std::scoped_lock lock{recorded_mutex};
    if (!recorded.merge(token)) recorded = token;  // the server now works on another system: the old places mean nothing there
  }

  void work() {
    for (;;) {
      std::int64_t id{0};
      std::shared_ptr<active_run> run;
      {
        std::unique_lock lock{mutex};
        changed.wait(lock, [this] { return stopping || !waiting.empty(); });
        if (stopping) return;
        id = waiting.front();
        waiting.pop_front();
        run = std::make_shared<active_run>();
        running.emplace(id, run);
      }
      try {
        process(id, *run);
      } catch (const std::exception& failure) {
        log(spillway::log_level::error, "an analysis ended by an exception", id, failure.what());
        finish(id, analysis_status::failed, failure.what());
      }
      const std::scoped_lock lock{mutex};
      running.erase(id);
    }
  }

  /// Asks the store again and again, with backoff, until it has done what must not be lost; nothing if the queue stops first.
  template <class Ask>
  std::optional<bool> until_done(std::int64_t id, std::string_view trouble, Ask ask) {
    spillway::decorrelated_backoff backoff{{.base = std::chrono::milliseconds{100}, .cap = std::chrono::seconds{10}}};
    std::minstd_rand generator{static_cast<unsigned>(id)};
    for (;;) {
      const result<bool, db_error> done = ask();
      if (done) return *done;
      log(spillway::log_level::error, trouble, id, done.error().what());
      std::unique_lock lock{mutex};
      if (changed.wait_for(lock, backoff.next(generator), [this] { return stopping; })) return std::nullopt;
    }
  }

  void process(std::int64_t id, active_run& run) {
    spillway::consistency_token seen;  // of the job: what it reads is no older than its own beginning
    session_options begin;
    begin.token = &seen;
    const auto begun = until_done(id, "an analysis could not be started", [&] {
      return record(begin, [&](const session_options& options) { return records.begin(id, now(), options); });
    });
    if (!begun || !*begun) return;  // stopping, or cancelled while it waited
    log(spillway::log_level::info, "an analysis has started", id, {});
    const auto start = clock.now();
    const auto report = execute(id, run, seen);
    note(report.shown);
    switch (report.summary.outcome) {
      case tree_outcome::completed:
        duration.record(clock.now() - start);
        finish(id, analysis_status::complete, {});
        break;
      case tree_outcome::failed: finish(id, analysis_status::failed, report.summary.message); break;
      case tree_outcome::cancelled: {
        bool by_client{false};
        {
          const std::scoped_lock lock{mutex};
          by_client = run.cancelled;
        }
        if (by_client) return finish(id, analysis_status::cancelled, {});
        const auto paused = record({}, [&](const session_options& options) { return records.pause(id, options); });
        if (!paused) {
          log(spillway::log_level::error, "a stopped analysis could not be put back into the queue", id, paused.error().what());
        }
        log(spillway::log_level::info, "an analysis was stopped, to be taken up again", id, {});
      }
    }
  }

  run_report execute(std::int64_t id, active_run& run, spillway::consistency_token seen) {
    run_report report;
    const auto refuse = [&report](std::string why) {
      report.summary.outcome = tree_outcome::failed;
      report.summary.message = std::move(why);
      return report;
    };
    session_options fresh;
    fresh.token = &seen;
    const auto analysis = records.analysis(id, fresh);
    if (!analysis) return refuse(analysis.error().what());
    if (!*analysis) return refuse("the analysis is gone");
    const auto project = records.project((*analysis)->project_id, fresh);
    if (!project) return refuse(project.error().what());
    if (!*project) return refuse("the project is gone");
    auto directory = root.open((*project)->path.empty() ? "." : (*project)->path);
    if (!directory) return refuse("the project's directory: " + directory.error().reason);
    const auto may_complete = [this, &run] {
      const std::scoped_lock lock{mutex};
      run.completing = !run.cancelled;
      return run.completing;
    };
    return run_analysis(records, **analysis, std::move(directory->fd),
                        {config.threads, config.max_file_bytes, config.max_files, &run.progress, may_complete, seen}, clock, run.stop.get_token());
  }

  void finish(std::int64_t id, analysis_status status, const std::string& error) {
    if (status != analysis_status::complete) {
      const auto readable = is_utf8(error) ? error : displayable(error);  // PostgreSQL takes no other text
      const auto ended = until_done(id, "the end of an analysis could not be recorded", [&] {
        return record({}, [&](const session_options& options) { return records.abandon(id, status, readable, now(), options); });
      });
      if (!ended) return;
    }
    finished[static_cast<std::size_t>(status)].add();
    if (status == analysis_status::complete) return log(spillway::log_level::info, "an analysis is complete", id, {});
    log(status == analysis_status::failed ? spillway::log_level::warning : spillway::log_level::info, "an analysis has ended early", id,
        error.empty() ? to_string(status) : std::string_view{error});
  }

  store& records;
  const project_root& root;
  analysis_queue_config config;
  const spillway::clock_source& clock;

  std::mutex mutex;  // guards what follows, up to the threads; never held while the store is asked
  std::condition_variable changed;
  std::deque<std::int64_t> waiting;
  std::map<std::int64_t, std::shared_ptr<active_run>> running;
  bool stopping{false};
  std::vector<std::thread> threads;

  std::mutex recorded_mutex;
  spillway::consistency_token recorded;

  std::array<spillway::striped_counter, 5> finished;  // by analysis_status
  spillway::latency_histogram duration;
};

analysis_queue::analysis_queue(store& records, const project_root& root, const analysis_queue_config& config,
                               const spillway::clock_source& clock)
    : impl_{std::make_unique<impl>(records, root, config, clock)} {}

analysis_queue::~analysis_queue() { stop(); }

result<void, db_error> analysis_queue::start() {
  const auto left = impl_->record({}, [&](const session_options& options) { return impl_->records.recover(impl_->now(), options); });
  if (!left) return left.error();
  const std::scoped_lock lock{impl_->mutex};
  for (const auto& analysis : *left) impl_->waiting.push_back(analysis.id);
  for (std::size_t i = 0; i < impl_->config.concurrent; ++i) impl_->threads.emplace_back([this] { impl_->work(); });
  return {};
}

result<analysis_record, submit_refusal> analysis_queue::submit(std::int64_t project_id, const session_options& options) {
  {
    const std::scoped_lock lock{impl_->mutex};
    if (impl_->stopping) return submit_refusal{submit_failure::stopping, {}};
    if (impl_->waiting.size() >= impl_->config.max_queued) return submit_refusal{submit_failure::queue_full, {}};
  }
  auto analysis = impl_->record(options, [&](const session_options& chosen) { return impl_->records.add_analysis(project_id, impl_->now(), chosen); });
  if (!analysis) {
    const bool active = analysis.error() == spillway::db_errc::unique_violation;
    return submit_refusal{active ? submit_failure::already_active : submit_failure::database, analysis.error()};
  }
  {
    const std::scoped_lock lock{impl_->mutex};
    impl_->waiting.push_back(analysis->id);
  }
  impl_->changed.notify_one();
  return *analysis;
}

result<bool, db_error> analysis_queue::cancel(std::int64_t analysis_id, const session_options& options) {
  {
    const std::scoped_lock lock{impl_->mutex};
    if (const auto found = impl_->running.find(analysis_id); found != impl_->running.end()) {
      if (found->second->completing) return false;
      found->second->cancelled = true;
      found->second->stop.request_stop();
      return true;
    }
    std::erase(impl_->waiting, analysis_id);
  }
  const auto abandoned = impl_->record(options, [&](const session_options& chosen) {
    return impl_->records.abandon(analysis_id, analysis_status::cancelled, {}, impl_->now(), chosen);
  });
  if (abandoned && *abandoned) impl_->finished[static_cast<std::size_t>(analysis_status::cancelled)].add();
  return abandoned;
}

std::optional<progress_snapshot> analysis_queue::progress(std::int64_t analysis_id) const {
  const std::scoped_lock lock{impl_->mutex};
  const auto found = impl_->running.find(analysis_id);
  if (found == impl_->running.end()) return std::nullopt;
  const auto& progress = found->second->progress;
  return progress_snapshot{progress.files_found.load(), progress.files_done.load(), progress.files_read.load(), progress.bytes_read.load()};
}

spillway::consistency_token analysis_queue::recorded() const {
  const std::scoped_lock lock{impl_->recorded_mutex};
  return impl_->recorded;
}

void analysis_queue::stop() noexcept {
  std::vector<std::thread> threads;
  {
    const std::scoped_lock lock{impl_->mutex};
    impl_->stopping = true;
    for (const auto& [id, run] : impl_->running) run->stop.request_stop();
    threads.swap(impl_->threads);
  }
  impl_->changed.notify_all();
  for (auto& thread : threads) thread.join();
}

void write_metrics(const analysis_queue& queue, std::string_view, spillway::metric_writer& out) {
  const auto& state = *queue.impl_;
  std::size_t waiting{0};
  std::size_t running{0};
  {
    const std::scoped_lock lock{queue.impl_->mutex};
    waiting = state.waiting.size();
    running = state.running.size();
  }
  out.gauge("analysis_queue_waiting", "Analyses that wait for a worker.", {}, static_cast<double>(waiting));
  out.gauge("analysis_queue_running", "Analyses on a worker.", {}, static_cast<double>(running));
  for (const auto status : {analysis_status::complete, analysis_status::failed, analysis_status::cancelled}) {
    const std::array<spillway::metric_label, 1> labels{{{"status", to_string(status)}}};
    out.counter("analysis_finished_total", "Analyses that ended, by how.", labels,
                static_cast<double>(state.finished[static_cast<std::size_t>(status)].value()));
  }
  using namespace std::chrono_literals;
  static constexpr std::array<std::chrono::nanoseconds, 8> bounds{10ms, 100ms, 500ms, 1s, 5s, 30s, 2min, 10min};
  out.histogram("analysis_duration_seconds", "Duration of complete analyses.", {}, state.duration.snapshot(), bounds);
}

}  // namespace analysis
