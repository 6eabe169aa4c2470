// SPDX-License-Identifier: Apache-2.0
#include "partition_keeper.hpp"

#include "../../sql_name.hpp"

#include <spillway/core/backoff.hpp>
#include <spillway/db/postgres.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <stdexcept>
#include <thread>
#include <utility>

namespace spillway::detail {

namespace {

using std::chrono::milliseconds;

constexpr std::size_t longest_table_name{55};

[[noreturn]] void refuse(const std::string& what) { throw std::invalid_argument("partition_config." + what); }

template <class T>
void require_in(std::string_view field, T value, T least, T most, std::string_view unit = {}) {
  if (value < least || value > most) refuse(fmt::format("{} is {}{}; it must be in [{}, {}]", field, value, unit, least, most));
}

const partition_config& validated(const partition_config& config) {
  if (const auto name = quoted_name(config.table, "table", 2); !name) refuse(std::string{name.error().message()});
  require_in<std::size_t>("table name length", last_part(config.table).size(), 1, longest_table_name, " bytes");
  require_in<unsigned>("months_ahead", config.months_ahead, 1, 120);
  if (config.keep_months) require_in<unsigned>("keep_months", *config.keep_months, 0, 1'200);
  require_in<std::int64_t>("max_block", config.max_block.count(), 20, 10'000, " ms");
  require_in<std::size_t>("drain_rows", config.drain_rows, 1, 100'000);
  return config;
}

/// An error that may be gone when the step is tried again: somebody has a lock, or the step would have held others up for too long.
bool may_pass(const db_error& error) {
  const auto state = sqlstate_of(error);
  return state == "55P03" || state == "57014" || error == db_errc::deadlock_detected || error == db_errc::serialization_failure ||
         error == db_errc::stale_statement;
}

}  // namespace

partition_keeper::partition_keeper(database& db, const partition_config& config)
    : db_{db}, config_{validated(config)}, quoted_{quoted_name(config.table, "table", 2).value()}, random_{std::random_device{}()} {}

std::optional<partition_status> partition_keeper::last() const {
  const std::lock_guard lock{mutex_};
  return last_;
}

result<partition_report, db_error> partition_keeper::run(const session_options& options) {
  const auto until = deadline::after(system_clock_source().now(), options.timeout.value_or(std::chrono::minutes{1})).sooner(options.until);
  auto done = run_until(until);
  (done ? counters_.runs : counters_.failed_runs).add();
  return done;
}

result<partition_status, db_error> partition_keeper::status(const session_options& options) {
  if (auto unfit = unfit_engine(); unfit.failed()) return unfit;
  auto where_runs_are_made = options;  // a replica may not have seen the last one
  where_runs_are_made.on_primary = true;
  const auto seen = db_.read([&](read_session& s) -> result<partition_view, db_error> {
    auto table = find_table(s);
    if (!table) return table.error();
    return look(s, std::move(*table));
  }, where_runs_are_made);
  if (!seen) return seen.error();
  return note(*seen);
}

db_error partition_keeper::unfit_engine() const {
  if (db_.system_name() == "postgresql") return {};
  return {db_errc::not_supported, fmt::format("{} has no partitions: a table of it stays in one piece", db_.system_name())};
}

result<partition_report, db_error> partition_keeper::run_until(deadline until) {
  if (auto unfit = unfit_engine(); unfit.failed()) return unfit;
  partition_report report;
  decorrelated_backoff pause{{.base = milliseconds{20}, .cap = milliseconds{1'000}}};
  std::optional<db_error> in_the_way;
  const auto given_up = [](const db_error& error) {
    return db_error{db_errc::busy, fmt::format("{}; the next run tries again", error.message()), error.native_code(), error.sql()};
  };
  for (;;) {
    const auto done = one_step(until, report);
    if (done && *done == step_end::more) {
      pause.reset();
      in_the_way.reset();
      continue;
    }
    if (done) {
      report.another_at_work = *done == step_end::another_at_work;
      return report;
    }
    const auto& error = done.error();
    // The time ran out in the middle of a try: why it was not the first one says more.
    if (in_the_way && until.passed(system_clock_source().now())) return given_up(*in_the_way);
    if (!may_pass(error)) return error;
    in_the_way = error;
    const auto wait = pause.next(random_);
    if (until.remaining(system_clock_source().now()) <= wait) return given_up(error);
    std::this_thread::sleep_for(wait);
  }
}

result<partition_keeper::step_end, db_error> partition_keeper::one_step(deadline until, partition_report& report) {
  session_options options{until};
  options.timeout = std::chrono::nanoseconds::max();
  options.label = "partitions";
  partition_report made;  // counts once it is committed
  const auto taken = db_.write([&](write_session& s) {
    made = {};
    return take_step(s, made);
  }, options);
  if (!taken) return taken.error();
  if (!taken->alone.empty()) {
    if (const auto alone = execute_alone(db_, taken->alone, options); !alone) {
      // It runs outside of the lock, so another program may have detached it meanwhile, or be about to: the next look tells.
      const auto state = sqlstate_of(alone.error());
      if (state == "42P01" || state == "55000") return taken->end;
      return alone.error();
    }
  }
  add(made, report);
  return taken->end;
}

void partition_keeper::add(partition_report& made, partition_report& report) {
  const auto move = [](std::vector<std::string>& from, std::vector<std::string>& to, striped_counter& counter) {
    counter.add(static_cast<std::int64_t>(from.size()));
    to.insert(to.end(), std::make_move_iterator(from.begin()), std::make_move_iterator(from.end()));
  };
  move(made.created, report.created, counters_.created);
  move(made.detached, report.detached, counters_.detached);
  move(made.dropped, report.dropped, counters_.dropped);
  report.drained += made.drained;
  counters_.drained.add(static_cast<std::int64_t>(made.drained));
}

result<partition_keeper::step, db_error> partition_keeper::take_step(write_session& s, partition_report& made) {
  auto table = find_table(s);
  if (!table) return table.error();
  // The lock has two numbers: ours, and that of the table. Before the look, so that nothing of it changes until the end of the step.
  constexpr std::int32_t ours{0x7370'6c70};
  const auto alone = s.query_one<bool>("SELECT pg_try_advisory_xact_lock($1, $2)", ours, static_cast<std::int32_t>(table->oid));
  if (!alone) return alone.error();
  if (!alone->value_or(false)) return step{step_end::another_at_work};
  const auto seen = look(s, std::move(*table));
  if (!seen) return seen.error();
  (void)note(*seen);
  const auto actions = plan_partitions(seen->facts, {seen->current, config_.months_ahead, config_.keep_months, config_.drop});
  if (!actions) return actions.error();
  if (actions->empty()) return step{step_end::nothing_left};
  return std::visit([&](const auto& action) { return carry_out(s, *seen, action, made); }, actions->front());
}

// ---- what is done -------------------------------------------------------------------------------------------------------------------------

result<void, db_error> partition_keeper::be_quick(write_session& s, bool shuts_out) const {
  const auto quarter = config_.max_block.count() / 4;
  if (const auto set = s.execute(fmt::format("SET LOCAL lock_timeout = {}", quarter)); !set) return set.error();
  if (!shuts_out) return {};
  if (const auto set = s.execute(fmt::format("SET LOCAL statement_timeout = {}", quarter)); !set) return set.error();
  return {};
}

namespace {

result<void, db_error> run_all(write_session& s, std::string_view about, const std::vector<std::string>& statements) {
  for (const auto& sql : statements) {
    if (const auto done = s.execute(sql); !done) return done.error().prefixed(about);
  }
  return {};
}

}  // namespace

result<partition_keeper::step, db_error> partition_keeper::carry_out(write_session& s, const partition_view& seen, const make_partition& action,
                                                                     partition_report& made) {
  const auto name = partition_name(seen.table.name, action.month);
  const auto is_ours = [&](const partition_facts::loose_one& one) { return one.name == name; };
  if (std::ranges::none_of(seen.facts.loose, is_ours)) return create(s, seen, action.month);
  const auto about = fmt::format("attaching {}: ", name);
  const auto promised = promise_month(s, seen, action.month);
  if (!promised) return promised.error().prefixed(about);
  if (!*promised) return step{};
  if (const auto quick = be_quick(s, seen.facts.default_one.has_value()); !quick) return quick.error();
  if (seen.facts.default_one) {
    const auto last_of_it = drain(s, seen, action.month, made);
    if (!last_of_it) return last_of_it.error().prefixed(about);
    if (!*last_of_it) return step{};
  }
  const auto done = run_all(s, about, {attach_sql(seen.table, action.month), drop_check_sql(seen.table, action.month), comment_sql(seen.table, name, {})});
  if (!done) return done.error();
  made.created.push_back(name);
  return step{};
}

result<partition_keeper::step, db_error> partition_keeper::create(write_session& s, const partition_view& seen, std::chrono::year_month month) {
  const auto name = partition_name(seen.table.name, month);
  const auto taken = s.query_one<bool>("SELECT to_regclass($1) IS NOT NULL", seen.table.beside(name));
  if (!taken) return taken.error();
  if (taken->value_or(false)) {
    return db_error{db_errc::partition_conflict, fmt::format("a partition \"{}\" must be made, and there is something else of that name", name)};
  }
  if (const auto quick = be_quick(s, false); !quick) return quick.error();
  const auto about = fmt::format("making {}: ", name);
  if (const auto done = run_all(s, about, {create_sql(seen.table, month), comment_sql(seen.table, name, made_mark(seen.table, month))}); !done) {
    return done.error();
  }
  return step{};
}

/// Whether there is nothing left to do for that. The lock that shuts others out of the table and the reading of its rows are steps of their own.
result<bool, db_error> partition_keeper::promise_month(write_session& s, const partition_view& seen, std::chrono::year_month month) {
  const auto there = s.query_one<bool>(checked_sql, seen.table.beside(partition_name(seen.table.name, month)));
  if (!there) return there.error();
  if (there->value_or(false)) return true;
  if (const auto quick = be_quick(s, false); !quick) return quick.error();
  const auto done = s.execute(there->has_value() ? validate_check_sql(seen.table, month) : add_check_sql(seen.table, month));
  if (!done) return done.error();
  return false;
}

/// Whether the default partition has no rows of the month left, and is locked so that none come.
result<bool, db_error> partition_keeper::drain(write_session& s, const partition_view& seen, std::chrono::year_month month, partition_report& made) {
  const auto& from = *seen.facts.default_one;
  const auto rows = config_.drain_rows;
  const auto count = [&] { return s.query_one<std::size_t>(count_in_default_sql(seen.table, from, month, rows + 1)); };
  auto there = count();
  if (!there) return there.error();
  if (there->value_or(0) > 0) {
    const auto referenced = s.query_one<std::int64_t>(referenced_sql, seen.table.oid);
    if (!referenced) return referenced.error();
    if (referenced->value_or(0) > 0) {
      return db_error{db_errc::partition_conflict, fmt::format("rows have to be moved out of \"{}\", and other tables refer to them", from)};
    }
  }
  const bool many = there->value_or(0) > rows;
  if (!many) {
    if (const auto locked = s.execute(fmt::format("LOCK TABLE {} IN ACCESS EXCLUSIVE MODE", seen.table.beside(from))); !locked) return locked.error();
    there = count();  // some may have come before the lock
    if (!there) return there.error();
    if (there->value_or(0) > rows) return false;
  }
  if (there->value_or(0) == 0) return true;
  const auto moved = s.execute(drain_sql(seen.table, from, month, rows));
  if (!moved) return moved.error();
  made.drained += *moved;
  return !many;
}

result<partition_keeper::step, db_error> partition_keeper::carry_out(write_session& s, const partition_view& seen, const detach_partition& action,
                                                                     partition_report& made) {
  const bool has_default = seen.facts.default_one.has_value();
  if (const auto quick = be_quick(s, has_default); !quick) return quick.error();
  // The mark first: what is detached without one would never be dropped.
  std::vector<std::string> statements{comment_sql(seen.table, action.name, detached_mark(seen.table, action.month))};
  if (has_default) statements.push_back(detach_sql(seen.table, action.name, {}));
  if (const auto done = run_all(s, fmt::format("detaching {}: ", action.name), statements); !done) return done.error();
  made.detached.push_back(action.name);
  return step{step_end::more, has_default ? std::string{} : detach_sql(seen.table, action.name, "CONCURRENTLY")};
}

result<partition_keeper::step, db_error> partition_keeper::carry_out(write_session&, const partition_view& seen, const finish_detaching& action,
                                                                     partition_report& made) {
  made.detached.push_back(action.name);
  return step{step_end::more, detach_sql(seen.table, action.name, "FINALIZE")};
}

result<partition_keeper::step, db_error> partition_keeper::carry_out(write_session& s, const partition_view& seen, const drop_table& action,
                                                                     partition_report& made) {
  if (const auto quick = be_quick(s, false); !quick) return quick.error();
  if (const auto done = run_all(s, fmt::format("dropping {}: ", action.name), {drop_sql(seen.table, action.name)}); !done) return done.error();
  made.dropped.push_back(action.name);
  return step{};
}

}  // namespace spillway::detail
