// SPDX-License-Identifier: Apache-2.0
#include <spillway/db/session.hpp>

#include "session_context.hpp"

#include <fmt/format.h>

#include <memory>

namespace spillway {

namespace detail {

void session_context::note(std::string_view sql, time_point statement_began, std::optional<time_point> first_row) {
  const auto ended = system_clock_source().now();
  if (ended - statement_began < config_->slow_statement) return;
  ++slow_count_;
  if (slow_.size() >= slow_limit) return;
  const auto answered = first_row.value_or(ended);
  slow_.push_back({std::string{sql.substr(0, db_error::sql_limit_bytes)}, statement_began - began_, answered - statement_began, ended - answered});
}

namespace {

/// Notes when the first row came.
class timed_rows final : public row_sink {
 public:
  explicit timed_rows(row_sink& sink) noexcept : sink_{sink} {}
  bool row_added(row_data& rows) override {
    if (!first) first = system_clock_source().now();
    return sink_.row_added(rows);
  }
  [[nodiscard]] bool is_stream() const noexcept override { return sink_.is_stream(); }

  std::optional<time_point> first;

 private:
  row_sink& sink_;
};

}  // namespace

result<std::uint64_t, db_error> session_context::run(std::string_view sql, std::span<const sql_value> parameters, row_data& rows,
                                                     row_sink& sink) {
  const auto began = system_clock_source().now();
  timed_rows timed{sink};
  auto done = connection_->run(sql, parameters, rows, timed);
  note(sql, began, timed.first);
  return done;
}

result<void, db_error> session_context::run_script(std::string_view sql) {
  const auto began = system_clock_source().now();
  auto done = connection_->run_script(sql);
  note(sql, began, std::nullopt);
  return done;
}

result<std::uint64_t, db_error> session_context::bulk(const bulk_job& job, bulk_rows& rows) {
  const auto statement_began = system_clock_source().now();
  auto done = connection_->bulk(job, rows);
  note(fmt::format("bulk {} {}", job.kind == bulk_kind::update ? "update of" : "insert into", job.table), statement_began, std::nullopt);
  return done;
}

result<std::uint64_t, db_error> db_connection::bulk(const bulk_job& job, bulk_rows& rows) {
  const auto sql = job.kind == bulk_kind::update ? update_sql(job) : insert_sql(job);
  std::uint64_t written{0};
  while (const auto values = rows.next()) {
    row_data buffer;
    dropped_rows sink;
    const auto done = run(sql, *values, buffer, sink);
    if (!done) return error_of_row(rows.given() - 1, done.error());
    written += *done;
  }
  return written;
}

}  // namespace detail

namespace {

/// Keeps the rows, up to a size and a number.
class kept_rows final : public detail::row_sink {
 public:
  kept_rows(std::uint64_t max_bytes, std::size_t max_rows) noexcept : max_bytes_{max_bytes}, max_rows_{max_rows} {}

  bool row_added(detail::row_data& rows) override {
    too_large_ = rows.size_bytes() > max_bytes_;
    too_many_ = rows.rows > max_rows_;
    return !too_large_ && !too_many_;
  }

  [[nodiscard]] db_error failure(std::string_view sql) const {
    if (too_many_) return {db_errc::too_many_rows, "at most one row was expected", 0, sql};
    if (too_large_) {
      return {db_errc::result_too_large, fmt::format("the result exceeds max_result_bytes, {} bytes; stream it", max_bytes_), 0, sql};
    }
    return {};
  }

 private:
  std::uint64_t max_bytes_;
  std::size_t max_rows_;
  bool too_large_{false};
  bool too_many_{false};
};

class streamed_rows final : public detail::row_sink {
 public:
  explicit streamed_rows(detail::row_consumer& consumer) noexcept : consumer_{consumer} {}

  bool row_added(detail::row_data& rows) override {
    ++count;
    const bool more = consumer_.row(rows.row(0));
    rows.clear_rows();
    return more;
  }

  [[nodiscard]] bool is_stream() const noexcept override { return true; }

  std::uint64_t count{0};

 private:
  detail::row_consumer& consumer_;
};

result<row_set, db_error> keep_rows(detail::session_context& context, std::string_view sql, std::span<const sql_value> parameters,
                                    std::size_t max_rows) {
  const auto rows = std::make_shared<detail::row_data>();
  kept_rows sink{context.config().max_result_bytes, max_rows};
  if (const auto done = context.run(sql, parameters, *rows, sink); !done) return done.error();
  if (auto failure = sink.failure(sql); failure.failed()) return failure;
  return row_set{rows};
}

}  // namespace

result<row_set, db_error> read_session::query_values(std::string_view sql, std::span<const sql_value> parameters) {
  return keep_rows(*context_, sql, parameters, std::numeric_limits<std::size_t>::max());
}

result<row_set, db_error> read_session::query_at_most_one(std::string_view sql, std::span<const sql_value> parameters) {
  return keep_rows(*context_, sql, parameters, 1);
}

result<std::uint64_t, db_error> read_session::stream_values(std::string_view sql, std::span<const sql_value> parameters,
                                                            detail::row_consumer& rows) {
  detail::row_data buffer;
  streamed_rows sink{rows};
  if (const auto done = context_->run(sql, parameters, buffer, sink); !done) return done.error();
  return sink.count;
}

deadline read_session::until() const noexcept { return context_->control().until; }

result<std::uint64_t, db_error> write_session::execute_values(std::string_view sql, std::span<const sql_value> parameters) {
  detail::row_data buffer;
  detail::dropped_rows sink;
  return context_->run(sql, parameters, buffer, sink);
}

result<std::uint64_t, db_error> write_session::execute_source(std::string_view sql, detail::parameter_source& rows) {
  std::uint64_t changed{0};
  std::uint64_t index{0};
  while (const auto* parameters = rows.next()) {
    const auto done = execute_values(sql, parameters->values());
    if (!done) return done.error().prefixed(fmt::format("row {}: ", index));
    changed += *done;
    ++index;
  }
  return changed;
}

result<void, db_error> write_session::execute_script(std::string_view sql) { return context_->run_script(sql); }

}  // namespace spillway
