// SPDX-License-Identifier: Apache-2.0
#include <spillway/db/sqlite.hpp>

#include "sqlite_connection.hpp"

#include "../../db_driver.hpp"

#include <fmt/format.h>

#include <atomic>
#include <stdexcept>

namespace spillway {

namespace {

using detail::db_connection;
using detail::session_kind;

template <class T>
void require_in(std::string_view field, T value, T least, T most, std::string_view unit = {}) {
  if (value >= least && value <= most) return;
  throw std::invalid_argument(fmt::format("sqlite_config.{} is {}{}; it must be in [{}, {}]", field, value, unit, least, most));
}

void require_path(std::string_view path) {
  const auto refuse = [path](std::string_view why) {
    throw std::invalid_argument(fmt::format("sqlite_config.path is \"{}\"; {}", path, why));
  };
  constexpr std::size_t most_bytes{4'096};
  if (path.empty()) refuse("it must name a file");
  if (path == ":memory:") refuse("a database in memory has one connection only: use a file in a temporary directory");
  if (path.starts_with("file:")) refuse("URIs are not taken: write \"./file:...\" for a file of that name");
  if (path.find('\0') != std::string_view::npos) throw std::invalid_argument("sqlite_config.path contains a NUL byte; it must name a file");
  if (path.size() > most_bytes) refuse("it must have at most 4096 bytes");
}

const sqlite_config& validated(const sqlite_config& config) {
  constexpr std::uint64_t kib{1'024};
  constexpr std::uint64_t gib{std::uint64_t{1} << 30U};
  require_path(config.path);
  require_in<std::size_t>("readers", config.readers, 1, 64);
  require_in<std::int64_t>("other_process_timeout", config.other_process_timeout.count(), 0, 3'600'000, " ms");
  require_in<std::size_t>("statement_cache", config.statement_cache, 0, 4'096);
  require_in<std::uint64_t>("page_cache_bytes", config.page_cache_bytes, 64 * kib, 16 * gib);
  require_in<std::uint64_t>("max_value_bytes", config.max_value_bytes, kib, 1'000'000'000);
  if (config.max_file_bytes) require_in<std::uint64_t>("max_file_bytes", *config.max_file_bytes, 64 * kib, std::uint64_t{1} << 47U);
  return config;
}

class sqlite_driver final : public detail::db_driver {
 public:
  explicit sqlite_driver(const sqlite_config& config) : config_{validated(config)} {}

  std::string_view system_name() const noexcept override { return "sqlite"; }
  detail::session_keeping sessions(session_kind kind) const noexcept override {
    detail::session_keeping kept;
    kept.max = kind == session_kind::read ? config_.readers : 1;
    kept.min = kept.max;
    return kept;
  }

  result<std::unique_ptr<db_connection>, db_error> open(session_kind kind, deadline) override {
    auto config = config_;
    // A file that is gone must not be replaced by an empty one.
    if (opened_before_) config.create = false;
    auto opened = detail::sqlite_connection::open(config, kind, counters_);
    if (!opened) return opened.error();
    opened_before_ = true;
    return std::unique_ptr<db_connection>{std::move(*opened)};
  }

  result<void, db_error> close(std::vector<std::unique_ptr<db_connection>> readers,
                               std::vector<std::unique_ptr<db_connection>> writers) override {
    readers.clear();  // first: the last connection to go removes the log, and a reader may not
    result<void, db_error> done;
    for (auto& writer : writers) {
      if (writer) done = static_cast<detail::sqlite_connection&>(*writer).checkpoint();
    }
    return done;
  }

  std::string_view probe_sql() const noexcept override { return "SELECT count(*) FROM sqlite_schema"; }

  detail::statement_cache_stats cache_stats() const noexcept override {
    return {static_cast<std::uint64_t>(counters_.hits.value()), static_cast<std::uint64_t>(counters_.misses.value()),
            static_cast<std::uint64_t>(counters_.evictions.value())};
  }

 private:
  sqlite_config config_;
  std::atomic<bool> opened_before_{false};
  detail::sqlite_cache_counters counters_;
};

}  // namespace

result<database, db_error> open_sqlite(const sqlite_config& config) {
  return detail::open_database(config.database, std::make_unique<sqlite_driver>(config));
}

}  // namespace spillway
