// SPDX-License-Identifier: Apache-2.0
#include "analyzer/tree_analysis.hpp"

#include "analyzer/bounded_queue.hpp"
#include "analyzer/file_descriptor.hpp"
#include "analyzer/file_stat.hpp"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <ctime>
#include <exception>
#include <mutex>
#include <system_error>
#include <thread>
#include <utility>

namespace analysis {

namespace {

using result_batch = std::vector<file_analysis>;

constexpr std::size_t waiting_batches_per_thread = 16;
constexpr std::size_t most_waiting_batches = 64;  // Each keeps its directory open, and descriptors are few.
constexpr std::size_t results_per_batch = 128;
constexpr std::size_t result_bytes_per_batch = 256 * 1024;

/// The clock that stamps files: a change after this instant cannot get an earlier stamp.
std::int64_t file_clock_now() {
  timespec now{};
  ::clock_gettime(CLOCK_REALTIME_COARSE, &now);
  return nanoseconds_of(now);
}

/// True when the file may have been changed after an earlier run read it, without its identity showing it.
bool may_have_changed_since(const file_identity& identity, std::int64_t started_at_ns) {
  constexpr std::int64_t second = 1'000'000'000;
  const bool whole_seconds = identity.mtime_ns % second == 0 && identity.ctime_ns % second == 0;
  const std::int64_t tick = whole_seconds ? 2 * second : 0;  // The coarsest file systems in use count by two seconds.
  return std::max(identity.mtime_ns, identity.ctime_ns) + tick >= started_at_ns;
}

std::size_t approximate_bytes(const file_analysis& file) {
  std::size_t bytes = sizeof file + file.path.size() + file.reason.size();
  for (const import_edge& edge : file.imports) bytes += sizeof edge + edge.target.size();
  return bytes;
}

/// Everything one run shares between its threads.
class tree_run {
 public:
  tree_run(int root, const tree_options& options, std::stop_token stop)
      : options_(options),
        root_(root),
        threads_(std::min<std::size_t>(options.threads != 0 ? options.threads : std::max(1U, std::thread::hardware_concurrency()), most_threads)),
        batches_(std::min(threads_ * waiting_batches_per_thread, most_waiting_batches)),
        results_(threads_ * 4),
        progress_(options.progress != nullptr ? *options.progress : own_progress_),
        cancel_(std::move(stop), [this] { end(tree_outcome::cancelled, {}); }) {}

  tree_summary run(const result_sink& sink) {
    for (auto* counter : {&progress_.files_found, &progress_.files_done, &progress_.files_skipped, &progress_.files_read, &progress_.bytes_read}) {
      counter->store(0);
    }
    summary_.started_at_ns = file_clock_now();
    try {
      std::vector<std::jthread> threads;
      workers_left_ = threads_;
      // Joined on every way out; `end` makes them leave early.
      const ending ended{*this};
      threads.reserve(threads_ + 1);
      for (std::size_t i = 0; i < threads_; ++i) threads.emplace_back([this] { contain([this] { work(); }, [this] { worker_done(); }); });
      threads.emplace_back([this] { contain([this] { walk(); }, [this] { batches_.close(); }); });
      deliver(sink);
    } catch (const std::exception& error) {
      end(tree_outcome::failed, error.what());
    } catch (...) {
      end(tree_outcome::failed, "unknown exception");
    }
    return finish();
  }

 private:
  /// Leaving the scope of the threads early must not leave them waiting.
  struct ending {
    tree_run& run;
    int exceptions{std::uncaught_exceptions()};
    ~ending() {
      if (std::uncaught_exceptions() != exceptions) run.wake();
    }
  };

  template <class Work, class Done>
  void contain(Work work, Done done) {
    try {
      work();
    } catch (const std::exception& error) {
      end(tree_outcome::failed, error.what());
    } catch (...) {
      end(tree_outcome::failed, "unknown exception");
    }
    done();
  }

  void end(tree_outcome outcome, std::string message) {
    {
      const std::scoped_lock lock(mutex_);
      if (outcome_ == tree_outcome::completed) {
        outcome_ = outcome;
        message_ = std::move(message);
      }
    }
    wake();
  }

  void wake() {
    stop_.request_stop();
    batches_.cancel();
    results_.cancel();
  }

  void worker_done() {
    if (workers_left_.fetch_sub(1) == 1) results_.close();
  }

  void walk() {
    const tree_visitor visitor{
        [this](file_batch batch) {
          progress_.files_found += batch.names.size();
          return batches_.push(std::move(batch));
        },
        [this](file_analysis skipped) {
          ++progress_.files_skipped;
          result_batch one;
          one.push_back(std::move(skipped));
          return results_.push(std::move(one));
        }};
    file_limit_reached_ = walk_tree(root_.release(), options_.walk, visitor) == walk_end::file_limit;
  }

  void work() {
    file_analyzer analyzer(options_.file);
    result_batch done;
    std::size_t bytes = 0;
    while (std::optional<file_batch> batch = batches_.pop()) {
      for (const std::string& name : batch->names) {
        std::optional<file_analysis> result = analyze(analyzer, *batch, name);
        if (!result) return;
        ++progress_.files_done;
        if (!is_counted(result->status)) ++progress_.files_skipped;
        bytes += approximate_bytes(*result);
        done.push_back(std::move(*result));
        if (done.size() < results_per_batch && bytes < result_bytes_per_batch) continue;
        if (!results_.push(std::exchange(done, {}))) return;
        bytes = 0;
      }
    }
    if (!done.empty()) results_.push(std::move(done));
  }

  std::optional<file_analysis> analyze(file_analyzer& analyzer, const file_batch& batch, const std::string& name) {
    const int directory = batch.directory->fd();
    std::string path = batch.prefix + name;
    if (options_.known_file) {
      if (std::optional<file_analysis> known = known_result(directory, name, path)) return known;
    }
    std::optional<file_analysis> result =
        analyzer.analyze(directory, name.c_str(), std::move(path), stop_.get_token(), progress_.bytes_read);
    if (result && result->was_opened) ++progress_.files_read;
    return result;
  }

  std::optional<file_analysis> known_result(int directory, const std::string& name, const std::string& path) {
    struct stat info {};
    if (::fstatat(directory, name.c_str(), &info, AT_SYMLINK_NOFOLLOW) != 0 || !S_ISREG(info.st_mode)) return std::nullopt;
    const file_identity identity = identity_of(info);
    if (may_have_changed_since(identity, options_.earlier_started_at_ns)) return std::nullopt;
    std::optional<file_analysis> known = options_.known_file(path, identity);
    if (!known || known->identity != identity || known->changed_while_reading) return std::nullopt;
    known->path = path;
    known->origin = file_origin::unchanged;
    known->was_opened = false;
    return known;
  }

  void deliver(const result_sink& sink) {
    while (std::optional<result_batch> batch = results_.pop()) {
      for (const file_analysis& file : *batch) add(file);
      if (sink) sink(*batch);
    }
  }

  void add(const file_analysis& file) {
    ++summary_.files;
    ++summary_.files_by_status[static_cast<std::size_t>(file.status)];
    if (file.was_opened) ++summary_.files_read;
    if (file.origin == file_origin::unchanged) ++summary_.unchanged;
    if (file.origin == file_origin::known_content) ++summary_.known_content;
    if (!is_counted(file.status)) return;
    language_total& total = totals_[static_cast<std::size_t>(file.id)];
    total.id = file.id;
    ++total.files;
    total.bytes += file.identity.size;
    total.code += file.counts.code;
    total.comment += file.counts.comment;
    total.blank += file.counts.blank;
  }

  tree_summary finish() {
    const std::scoped_lock lock(mutex_);
    summary_.outcome = outcome_;
    summary_.message = message_;
    summary_.file_limit_reached = file_limit_reached_;
    summary_.bytes_read = progress_.bytes_read;
    for (const language_total& total : totals_) {
      if (total.files != 0) summary_.languages.push_back(total);
    }
    std::ranges::stable_sort(summary_.languages, std::ranges::greater{}, &language_total::code);
    return std::move(summary_);
  }

  const tree_options& options_;
  file_descriptor root_;
  const std::size_t threads_;
  bounded_queue<file_batch> batches_;
  bounded_queue<result_batch> results_;
  analysis_progress own_progress_;
  analysis_progress& progress_;
  std::atomic<std::size_t> workers_left_{0};
  std::stop_source stop_;
  bool file_limit_reached_{false};

  std::mutex mutex_;  // Guards the next two.
  tree_outcome outcome_{tree_outcome::completed};
  std::string message_;

  tree_summary summary_;
  std::array<language_total, 256> totals_{};
  std::stop_callback<std::function<void()>> cancel_;  // Last: it may fire as soon as it exists.
};

}  // namespace

std::string_view name_of(tree_outcome outcome) noexcept {
  switch (outcome) {
    case tree_outcome::completed: return "completed";
    case tree_outcome::cancelled: return "cancelled";
    case tree_outcome::failed: return "failed";
  }
  return "failed";
}

tree_summary analyze_tree(int root, const tree_options& options, const result_sink& sink, std::stop_token stop) {
  return tree_run(root, options, std::move(stop)).run(sink);
}

tree_summary analyze_tree(const std::string& root, const tree_options& options, const result_sink& sink,
                          std::stop_token stop) {
  const int fd = ::open(root.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) {
    tree_summary summary;
    summary.outcome = tree_outcome::failed;
    summary.message = "cannot open " + root + ": " + std::generic_category().message(errno);
    return summary;
  }
  return analyze_tree(fd, options, sink, std::move(stop));
}

}  // namespace analysis
