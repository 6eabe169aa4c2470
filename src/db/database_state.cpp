// SPDX-License-Identifier: Apache-2.0
#include "database_state.hpp"

#include "async_session.hpp"
#include "query_operation.hpp"

#include <boost/asio/io_context.hpp>
#include <boost/asio/system_executor.hpp>

#include <fmt/format.h>

#include <new>
#include <stdexcept>
#include <thread>
#include <vector>

namespace spillway::detail {

db_connection::~db_connection() = default;
db_driver::~db_driver() = default;
void db_driver::clean(db_connection&, boost::asio::any_completion_handler<void()> done) { std::move(done)(); }
session_task::~session_task() = default;
session_operation::~session_operation() = default;

namespace {

/// The databases whose sessions this thread holds, innermost first.
struct held_session {
  explicit held_session(const database_state& state) noexcept : owner{&state}, outer{innermost} { innermost = this; }
  ~held_session() { innermost = outer; }
  held_session(const held_session&) = delete;
  held_session& operator=(const held_session&) = delete;

  const database_state* owner;
  const held_session* outer;
  static thread_local const held_session* innermost;
};
thread_local const held_session* held_session::innermost{nullptr};

template <class T>
void require_in(std::string_view field, T value, T least, T most, std::string_view unit) {
  if (value >= least && value <= most) return;
  throw std::invalid_argument(fmt::format("database_config.{} is {}{}; it must be in [{}, {}]", field, value, unit, least, most));
}

const database_config& validated(const database_config& config) {
  constexpr std::int64_t day_ms{86'400'000};
  constexpr std::uint64_t most_result_bytes{std::uint64_t{4} << 30U};
  require_in<std::size_t>("name length", config.name.size(), 0, 64, " bytes");
  require_in<std::int64_t>("timeout", config.timeout.count(), 1, day_ms, " ms");
  require_in<std::size_t>("max_waiters", config.max_waiters, 0, 1'000'000, "");
  require_in<std::uint64_t>("max_result_bytes", config.max_result_bytes, 1024, most_result_bytes, "");
  require_in<std::int64_t>("slow_statement", config.slow_statement.count(), 0, day_ms, " ms");
  require_in<std::int64_t>("slow_wait", config.slow_wait.count(), 0, day_ms, " ms");
  const auto& retry = config.retry;
  require_in<std::size_t>("retry.attempts", retry.attempts, 1, 100, "");
  require_in<std::int64_t>("retry.base", retry.base.count(), 1, 60'000, " ms");
  require_in<std::int64_t>("retry.cap", retry.cap.count(), retry.base.count(), 60'000, " ms");
  require_in<double>("retry.budget_ratio", retry.budget_ratio, 0, 10, "");
  require_in<std::size_t>("retry.budget_burst", retry.budget_burst, 1, 1'000'000, "");
  require_in<std::int64_t>("leak_after", config.leak_after.count(), 0, day_ms, " ms");
  require_in<std::size_t>("group_members", config.group_members, 1, 10'000, "");
  require_in<std::int64_t>("group_time", config.group_time.count(), 0, 60'000, " ms");
  return config;
}

io_runner_config timer_thread() {
  io_runner_config config;
  config.threads = 1;
  config.thread_name = "spillway-db-t";
  return config;
}

}  // namespace

database_state::database_state(const database_config& config, std::shared_ptr<session_source> source)
    : config_{validated(config)}, timers_{timer_thread()}, source_{std::move(source)},
      group_{{config.group_members, config.group_time}, writes_.ended}, retry_budget_{config.retry.budget_ratio, config.retry.budget_burst} {}

database_state::~database_state() { (void)close(); }

result<void, db_error> database_state::open() {
  timers_.start();
  return source_->open(timers_.executor());
}

deadline database_state::deadline_of(const session_options& options) const {
  return deadline::after(system_clock_source().now(), options.timeout.value_or(config_.timeout)).sooner(options.until);
}

bool database_state::must_not_block() const {
  for (const auto* held = held_session::innermost; held != nullptr; held = held->outer) {
    if (held->owner == this) return true;
  }
  auto* const workers = worker_context_.load(std::memory_order_acquire);
  return (workers != nullptr && workers->get_executor().running_in_this_thread()) || source_->is_own_thread();
}

transaction_end database_state::run(session_kind kind, session_task& task, const session_options& options, const manner& how) {
  if (must_not_block()) {
    count_error(db_errc::would_deadlock);
    return {db_errc::would_deadlock};
  }
  statement_control control{deadline_of(options)};
  control.transaction = transaction_options{kind, options};
  control.transaction.single = how.single;
  control.transaction.wants_id = how.again;
  session_search search{kind, options, control.until, how.may_wait};
  auto session = session_for(search);
  if (!session) {
    count_error(session.error().code());
    return {std::move(session).error()};
  }
  blocked_call call;
  if (!run_on(search, std::move(*session), task, control, call)) call.wait();
  count_error(call.end.why());
  return std::move(call.end);
}

transaction_end database_state::run_again(session_kind kind, session_task& task, const session_options& options, bool single) {
  auto fixed = options;
  fixed.timeout = std::chrono::nanoseconds::max();
  fixed.until = deadline_of(options);  // of all runs together
  tx_attempts attempts{config_.retry, retry_budget_};
  for (;;) {
    auto end = run(kind, task, fixed, {.single = single, .again = true});
    const auto pause = end.thrown ? std::nullopt : attempts.after(end.why(), system_clock_source().now(), fixed.until, pause_generator());
    if (!pause) return end;
    std::this_thread::sleep_for(*pause);
  }
}

result<row_set, db_error> database_state::query(const sql_query& query, const session_options& options) {
  const auto ask = [&](read_session& session) { return session.query(query.sql(), sql_parameters{query.values()}); };
  function_task<read_session, decltype(ask)&> task{ask};
  auto end = run_again(session_kind::read, task, options, true);
  return std::move(task).outcome(std::move(end.failure));
}

void database_state::start_query(std::shared_ptr<query_operation> operation, const session_options& options) {
  if (!source_->async_query(operation, options, deadline_of(options))) start(session_kind::read, true, std::move(operation), options);
}

result<session_lease, db_error> database_state::session_for(session_search& search) {
  acquire_options asked{search.until, search.options.where};
  asked.timeout = std::chrono::nanoseconds::max();  // `until` alone counts
  for (;;) {
    const auto step = source_->next(search);
    if (step.refusal.failed()) return step.refusal;
    if (step.pool == nullptr) {
      if (!search.may_wait) return db_error{db_errc::busy};
      source_->wait(step);
      continue;
    }
    auto& sessions = step.pool->sessions();
    result<session_lease, pool_error> given = pool_error{};
    if (search.may_wait) {
      given = sessions.acquire(asked);
    } else if (auto at_once = sessions.try_acquire(asked)) {
      given = std::move(*at_once);
    } else {
      given = pool_error{at_once.error()};
    }
    if (!given) {
      if (!source_->refused(search, given.error())) return step.pool->error_of(given.error());
    } else if (source_->accept(search, *given)) {
      return std::move(*given);
    }
  }
}

bool database_state::run_on(const session_search& search, session_lease session, session_task& task, const statement_control& control,
                            session_call& call) {
  const held_session held{*this};
  session_context context{**session, control, config_};
  bool ended{true};
  if (search.kind == session_kind::write && context.connection().shared() != nullptr) {
    // Who must not wait for a session must not wait for the functions of others either.
    ended = group_.run(std::move(session), context, task, call, search.options.alone || !search.may_wait);
  } else {
    bool ran{true};
    try {
      ran = transact(search.kind, context, task, call);
    } catch (const std::bad_alloc&) {
      // Ours or the driver's; what the task threw was caught further in. The session must be given back, and clean.
      call.end = {db_errc::out_of_memory, {}, {}};
      call.well = false;
      context.connection().rollback();
    }
    const bool unsure = call.end.failure == db_errc::commit_unknown;
    source_->ended(search, std::move(session), call.end);
    if (unsure) call.well = !call.end.failure.failed();
    if (ran) (call.well ? side(search.kind).ended.committed : side(search.kind).ended.rolled_back).add();
  }
  if (context.slow_count() > 0) log_slow(search, context);
  return ended;
}

bool database_state::transact(session_kind kind, session_context& context, session_task& task, session_call& call) {
  auto& connection = context.connection();
  if (const auto begun = connection.begin(context.control()); !begun) {
    call.end.failure = begun.error();
    return false;
  }
  run_function(context, task, kind, call);
  if (call.well) {
    if (const auto committed = connection.commit(); !committed) {
      call.end.failure = committed.error();
      call.well = false;
    }
  }
  if (!call.well) connection.rollback();
  return true;
}

void database_state::count_error(error_code code) noexcept {
  if (code.category() != db_category() || !code.failed()) return;
  errors_[static_cast<std::size_t>(code.value())].add();
}

void database_state::log_slow(const session_search& search, const session_context& context) {
  slow_statements_.add(static_cast<std::int64_t>(context.slow_count()));
  if (!config_.log) return;
  const auto in_ms = [](std::chrono::nanoseconds span) { return fmt::format("{:.3f}", std::chrono::duration<double, std::milli>{span}.count()); };
  const auto acquire = in_ms(context.began() - search.asked);
  for (const auto& statement : context.slow()) {
    const auto duration = in_ms(statement.run + statement.drain);
    const auto queue = in_ms(statement.queue);
    const auto run = in_ms(statement.run);
    const auto drain = in_ms(statement.drain);
    const std::array<log_field, 9> fields{{{"database", config_.name},
                                           {"operation", search.kind == session_kind::read ? "read" : "write"},
                                           {"label", search.options.label},
                                           {"duration_ms", duration},
                                           {"acquire_ms", acquire},
                                           {"queue_ms", queue},
                                           {"run_ms", run},
                                           {"drain_ms", drain},
                                           {"sql", statement.sql}}};
    config_.log(log_event{log_level::warning, "db", "slow statement", fields});
  }
}

std::function<void(std::exception_ptr)> exception_report(const database_config& config) {
  return [name = config.name, log = config.log](std::exception_ptr thrown) {
    if (!log) return;
    std::string what{"not a std::exception"};
    try {
      std::rethrow_exception(std::move(thrown));
    } catch (const std::exception& known) {
      what = known.what();
    } catch (...) {
    }
    const std::array<log_field, 2> fields{{{"database", name}, {"what", what}}};
    log(log_event{log_level::error, "db", "a handler threw", fields});
  };
}

void database_state::start_workers() {
  io_runner_config config;
  // One for each session, so that who is given a session runs at once; one more for refusals while all of those are busy.
  config.threads = source_->most_sessions() + 1;
  config.shape = runner_shape::shared_context;
  config.thread_name = "spillway-db";
  config.on_exception = exception_report(config_);
  auto runner = std::make_unique<io_runner>(config);
  runner->start();
  worker_context_.store(&runner->context(0), std::memory_order_release);
  runner_ = std::move(runner);
}

void database_state::start(session_kind kind, bool again, std::shared_ptr<session_operation> operation, const session_options& options) {
  const auto until = deadline_of(options);
  std::shared_ptr<async_session> call;
  bool refused{false};
  {
    const std::scoped_lock lock{workers_mutex_};
    if (!workers_closed_ && !runner_) start_workers();
    // Made under the lock: from here on `call` keeps the threads from ending, should its handler need them.
    const boost::asio::any_io_executor system{boost::asio::system_executor{}};
    const auto threads = workers_closed_ ? system : runner_->executor();
    call = std::make_shared<async_session>(*this, kind, again, std::move(operation), options, until, threads,
                                           workers_closed_ ? exception_report(config_) : nullptr);  // an exception would end the process there
    refused = workers_closed_;
  }
  if (refused) {
    count_error(db_errc::shutting_down);
    call->refuse(db_errc::shutting_down);
  } else {
    call->start();
  }
}

result<void, db_error> database_state::ping(const session_options& options) {
  const auto probe = [&](read_session& session) { return session.query(source_->probe_sql()); };
  function_task<read_session, decltype(probe)&> task{probe};
  auto end = run(session_kind::read, task, options, {});
  const auto answered = std::move(task).outcome(std::move(end.failure));
  if (!answered) return answered.error();
  return {};
}

result<void, db_error> database_state::close() {
  if (must_not_block()) return db_error{db_errc::would_deadlock};
  const std::scoped_lock closing{close_mutex_};
  if (closed_) return *closed_;
  {
    const std::scoped_lock lock{workers_mutex_};
    workers_closed_ = true;
  }
  source_->drain();
  if (runner_) runner_->drain();
  closed_ = source_->close();
  return *closed_;
}

session_stats database_state::stats_of(session_kind kind) const {
  session_stats stats;
  stats.pool = source_->stats_of(kind);
  const auto& sessions = stats.pool;
  stats.sessions = sessions.max;
  stats.in_use = sessions.lent;
  stats.waiting = sessions.waiting;
  stats.refused = sessions.refused_with(pool_errc::exhausted) + sessions.refused_with(pool_errc::queue_full) +
                  sessions.refused_with(pool_errc::shutting_down) + sessions.refused_with(pool_errc::backend_down);
  stats.wait_timeouts = sessions.refused_with(pool_errc::timed_out);
  stats.wait_cancelled = sessions.refused_with(pool_errc::cancelled);
  stats.wait = sessions.wait;
  stats.run = sessions.hold;
  stats.committed = static_cast<std::uint64_t>(side(kind).ended.committed.value());
  stats.rolled_back = static_cast<std::uint64_t>(side(kind).ended.rolled_back.value());
  return stats;
}

database_stats database_state::stats() const {
  database_stats stats;
  stats.reads = stats_of(session_kind::read);
  stats.writes = stats_of(session_kind::write);
  stats.shared_commits = group_.commits();
  stats.shared_commit_writes = group_.members();
  for (std::size_t i = 0; i < errors_.size(); ++i) {
    stats.errors[i] = static_cast<std::uint64_t>(errors_[i].value());
  }
  stats.slow_statements = static_cast<std::uint64_t>(slow_statements_.value());
  const auto cache = source_->cache_stats();
  stats.statement_cache_hits = cache.hits;
  stats.statement_cache_misses = cache.misses;
  stats.statement_cache_evictions = cache.evictions;
  return stats;
}

}  // namespace spillway::detail
