// SPDX-License-Identifier: Apache-2.0
#include "pg_cluster.hpp"

#include "pg_routed_query.hpp"
#include "watched_nodes.hpp"

#include "../../query_operation.hpp"
#include "../../session_call.hpp"

#include <boost/asio/associated_cancellation_slot.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_future.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <future>
#include <stdexcept>
#include <thread>

namespace spillway::detail {

namespace {

using namespace std::chrono_literals;

/// Between two askings of a replica that has not come far enough.
constexpr std::chrono::nanoseconds first_pause{500us};
constexpr std::chrono::nanoseconds longest_pause{5ms};

postgres_config sessions_of(const postgres_cluster_config& config, const postgres_node& node, const boost::asio::any_io_executor& queries) {
  auto made = config.sessions;
  made.url = node.url;
  made.query_executor = queries;
  return made;
}

io_runner_config queries_thread(const postgres_cluster_config& config) {
  io_runner_config one;
  one.threads = 1;
  one.thread_name = "spillway-db-q";
  one.on_exception = exception_report(config.sessions.database);
  return one;
}

postgres_cluster_config validated(postgres_cluster_config config) {
  if (!config.sessions.url.empty()) throw std::invalid_argument("postgres_cluster_config.sessions.url must be empty: the nodes have their own");
  if (config.sessions.query_executor) throw std::invalid_argument("postgres_cluster_config.sessions.query_executor must be empty: a cluster has a thread for these");
  if (config.sessions.readers < 1 || config.sessions.readers > 1'000) {
    throw std::invalid_argument(fmt::format("postgres_cluster_config.sessions.readers is {}; it must be in [1, 1000]", config.sessions.readers));
  }
  config.routing.primary_read_sessions = config.sessions.readers;
  return config;
}

std::vector<cluster_watch::watched> watched_of(const postgres_cluster_config& config) {
  auto made = watched_nodes(config.nodes, config.sessions.application_name, [](std::size_t i) { return fmt::format("postgres_cluster_config.nodes[{}].url", i); });
  std::vector<routing_node> nodes;
  for (const auto& each : made) nodes.push_back(each.node);
  if (const auto fine = validate(config.routing, nodes); !fine) {
    const bool of_nodes = fine.error().starts_with("nodes");
    throw std::invalid_argument((of_nodes ? "postgres_cluster_config." : "postgres_cluster_config.routing.") + fine.error());
  }
  return made;
}

void add(latency_snapshot& sum, const latency_snapshot& more) {
  if (sum.counts.size() < more.counts.size()) sum.counts.resize(more.counts.size());
  for (std::size_t i = 0; i < more.counts.size(); ++i) sum.counts[i] += more.counts[i];
  sum.count += more.count;
  sum.sum += more.sum;
}

void add(pool_stats& sum, const pool_stats& more) {
  for (const auto field : {&pool_stats::lent, &pool_stats::idle, &pool_stats::opening, &pool_stats::lost, &pool_stats::closing, &pool_stats::pinging,
                           &pool_stats::waiting, &pool_stats::min, &pool_stats::max}) {
    sum.*field += more.*field;
  }
  for (const auto field : {&pool_stats::opened, &pool_stats::open_failures, &pool_stats::closed, &pool_stats::pings_failed, &pool_stats::leaks}) {
    sum.*field += more.*field;
  }
  sum.down = sum.down || more.down;
  for (std::size_t i = 0; i < sum.refused.size(); ++i) sum.refused[i] += more.refused[i];
  for (std::size_t i = 0; i < sum.timeouts.size(); ++i) sum.timeouts[i] += more.timeouts[i];
  for (const auto field : {&pool_stats::wait, &pool_stats::hold, &pool_stats::open}) add(sum.*field, more.*field);
}

}  // namespace

pg_cluster::pg_cluster(const postgres_cluster_config& config)
    : config_{validated(config)},
      nodes_(config_.nodes.size()),
      queries_{queries_thread(config_)},
      hedge_{hedge_limits{.budget_ratio = config_.routing.hedge_ratio}},
      watch_{config_.routing, watched_of(config_), [this](const route_change& change) { changed(change); }} {
  for (std::size_t i = 0; i < config_.nodes.size(); ++i) {
    auto& made = nodes_[i];
    made.driver = std::make_shared<pg_driver>(sessions_of(config_, config_.nodes[i], queries_.executor()), true);
    made.name = watch_.name(static_cast<node_index>(i));
  }
}

pg_cluster::~pg_cluster() = default;

std::size_t pg_cluster::most_sessions() const noexcept {
  return nodes_.size() * config_.sessions.readers + config_.sessions.writers;
}

// ---- beginning and end --------------------------------------------------------------------------------------------------------------------

result<void, db_error> pg_cluster::open(const boost::asio::any_io_executor& timers) {
  queries_.start();
  queries_context_ = &queries_.context(0);
  watch_.start();
  const auto until = system_clock_source().now() + config_.sessions.connect_timeout;
  (void)watch_.wait_for_all(until);
  // Who is the primary may take another look.
  for (auto seen = watch_.version(); !watch_.with([](route_core& core, auto) { return core.primary(); }); seen = watch_.version()) {
    if (system_clock_source().now() >= until) break;
    if (auto judged = judge_start(); !judged && judged.error() != db_errc::not_primary) return judged;
    watch_.wait(seen, std::min(until, system_clock_source().now() + 50ms));
  }
  if (auto judged = judge_start(); !judged) return judged;
  for (auto& each : nodes_) {
    auto config = config_.sessions.database;
    config.name = (config.name + '-' + each.name).substr(0, 58);  // the pool adds its kind
    each.writes.emplace(config, each.driver, session_kind::write, timers);
    each.reads.emplace(config, each.driver, session_kind::read, timers);
  }
  // Of the others, one that is down must not hold this up. A server may stumble at first, as one that is just starting does.
  for (;;) {
    auto& primary = nodes_[watch_.with([](route_core& core, auto) { return core.primary(); }).value_or(0)];
    const auto warm = primary.reads->sessions().warm_up_for(config_.sessions.connect_timeout);
    if (warm) return {};
    auto why = primary.reads->error_of(warm.error());
    if (why != db_errc::cannot_open || system_clock_source().now() >= until) return why;
    watch_.wait(watch_.version(), system_clock_source().now() + 20ms);
  }
}

result<void, db_error> pg_cluster::judge_start() {
  const auto stats = routing();
  for (const auto& each : stats.nodes) {
    if (each.state == db_node_state::foreign) return db_error{db_errc::foreign_node, roll_call(stats)};
  }
  if (stats.primary) return {};
  const auto trouble = watch_.with([](route_core& core, auto) { return core.primary_trouble(); });
  if (trouble == db_route_refusal::clusters_disagree) return db_error{db_errc::foreign_node, roll_call(stats)};
  for (node_index i = 0; i < nodes_.size(); ++i) {
    // Nobody answers: the first reason will do.
    const auto why = watch_.last_failure(i);
    if (!why.failed()) return db_error{db_errc::not_primary, fmt::format("{}: {}", to_string(trouble), roll_call(stats))};
    if (why == db_errc::authentication_failed) return why;
  }
  return watch_.last_failure(0);
}

std::string pg_cluster::roll_call(const routing_stats& stats) const {
  std::string text;
  for (node_index i = 0; i < nodes_.size(); ++i) {
    const auto& one = stats.nodes[i];
    const auto why = watch_.last_failure(i);
    const auto said = why.failed() ? why.what() : std::string{to_string(one.role)};
    text += fmt::format("{}{}: {}", i == 0 ? "" : "; ", one.name, said);
    if (one.system != 0) text += fmt::format(", system {}", one.system);
  }
  return text;
}

void pg_cluster::drain() {
  draining_.store(true, std::memory_order_relaxed);
  watch_.wake();
  std::vector<std::future<result<void, pool_error>>> drained;
  for (auto& each : nodes_) {
    each.driver->drain();
    for (auto* pool : {&each.reads, &each.writes}) {
      if (*pool) drained.push_back((*pool)->sessions().async_drain(std::chrono::nanoseconds::max(), boost::asio::use_future));
    }
  }
  for (auto& each : drained) (void)each.get();
}

result<void, db_error> pg_cluster::close() {
  watch_.stop();
  queries_.drain();  // the shared connections live on it, and with them what is under way
  result<void, db_error> all;
  for (auto& each : nodes_) {
    if (!each.reads) continue;
    if (const auto closed = each.driver->close(each.reads->take_closed(), each.writes->take_closed()); !closed && all) all = closed.error();
  }
  return all;
}

bool pg_cluster::is_own_thread() const noexcept { return queries_context_ != nullptr && queries_context_->get_executor().running_in_this_thread(); }

// ---- the way to a session -----------------------------------------------------------------------------------------------------------------

read_question pg_cluster::question_of(const session_options& options, std::uint64_t tried, time_point asked, time_point may_wait_until) const {
  read_question question;
  if (options.token != nullptr) question.token = *options.token;
  if (options.max_staleness) question.fresh_as_of = asked - *options.max_staleness;
  if (options.on_primary) question.prefer = read_preference::primary;
  question.tried = tried;
  question.may_wait_until = may_wait_until;
  return question;
}

session_step pg_cluster::next(session_search& search) {
  if (draining_.load(std::memory_order_relaxed)) return {.refusal = db_errc::shutting_down};
  const auto now = system_clock_source().now();
  return search.kind == session_kind::read ? next_read(search, now) : next_write(search, now);
}

session_step pg_cluster::next_read(session_search& search, time_point now) {
  const auto patience = search.may_wait ? search.until.sooner(deadline::after(search.asked, config_.routing.buffer_for)).at() : now;
  const auto question = question_of(search.options, search.tried, search.asked, patience);
  const auto answer = watch_.with([&](route_core& core, std::uint64_t random) { return core.choose_read(question, now, random); });
  if (answer.action == route_action::use) {
    search.check_first = answer.how != freshness::not_asked;
    search.need = answer.need;
    search.proof_asked = answer.how == freshness::proven ? answer.proof_asked : time_point::min();
    return granted(search, answer.ticket, now);
  }
  const bool crowded = search.last_refusal == errc::overloaded;  // it is there, and takes no more
  if (answer.action == route_action::wait && !crowded && !search.until.passed(now)) return hold(search, answer.at, answer.why);
  if (search.last_refusal.failed()) return {.refusal = search.last_refusal};
  auto why = refusal(answer.why);
  if (why == db_errc::not_primary) why = db_error{db_errc::no_fresh_node, std::string{why.message()}};  // nobody wants to write
  return {.refusal = std::move(why)};
}

session_step pg_cluster::next_write(session_search& search, time_point now) {
  // Found out before anything is done: the place of the commit could not be merged into it.
  if (const auto* const token = search.options.token; token != nullptr && !token->empty()) {
    const auto system = watch_.with([](route_core& core, auto) { return core.system(); });
    if (system && *system != token->system()) return {.refusal = refusal(db_route_refusal::foreign_token)};
  }
  if (search.tried != 0) {
    // The primary's pool has refused. If that is not over when this one has waited, it stands.
    if (now - search.asked >= config_.routing.buffer_for || search.until.passed(now) || !search.may_wait) return {.refusal = search.last_refusal};
    return hold(search, now + config_.routing.failover_interval, db_route_refusal::primary_down);
  }
  const auto held = search.waited ? 0 : held_writes_.load(std::memory_order_relaxed);  // who was held before keeps his place
  const auto answer = watch_.with([&](route_core& core, auto) { return core.choose_write(now, held); });
  if (answer.action == route_action::use) {
    search.check_first = false;
    return granted(search, answer.ticket, now);
  }
  if (answer.action == route_action::wait) {
    if (!search.until.passed(now)) return hold(search, answer.at, answer.why);
    return {.refusal = db_error{db_errc::timed_out, "waiting for a primary: " + std::string{to_string(answer.why)}}};
  }
  const bool says_more = search.last_refusal.failed() && answer.why != db_route_refusal::buffer_full;
  return {.refusal = says_more ? search.last_refusal : refusal(answer.why)};
}

session_step pg_cluster::granted(session_search& search, const route_ticket& ticket, time_point now) {
  search.node = ticket.node;
  search.epoch = ticket.epoch;
  search.use = static_cast<std::uint8_t>(ticket.use);
  search.granted = now;
  return {.pool = &nodes_[ticket.node].pool_of(search.kind)};
}

session_step pg_cluster::hold(session_search& search, time_point at, db_route_refusal why) {
  if (search.kind == session_kind::read && !search.waited && held_reads_.load(std::memory_order_relaxed) >= config_.routing.max_buffered) {
    return {.refusal = db_error{db_errc::queue_full, "as many callers wait for a node as may: " + std::string{to_string(why)}}};
  }
  search.waited = true;
  search.tried = 0;  // what did not do may do by then
  session_step step;
  step.kind = search.kind;
  step.wait_until = search.until.is_never() ? at : std::min(at, search.until.at());
  step.version = watch_.version();
  return step;
}

db_error pg_cluster::refusal(db_route_refusal why) const {
  const std::string text{to_string(why)};
  switch (why) {
    case db_route_refusal::clusters_disagree: return {db_errc::foreign_node, text};
    case db_route_refusal::foreign_token: return db_errc::foreign_token;
    case db_route_refusal::load_cap:
    case db_route_refusal::unknown_timeline:
    case db_route_refusal::primary_tried: return {db_errc::no_fresh_node, text};
    case db_route_refusal::buffer_full: return {db_errc::queue_full, text};
    default: return {db_errc::not_primary, text};
  }
}

void pg_cluster::give_back_node(const session_search& search, query_end how) {
  const auto now = system_clock_source().now();
  const route_ticket ticket{static_cast<node_index>(search.node), search.epoch, static_cast<route_use>(search.use)};
  watch_.with([&](route_core& core, std::uint64_t random) { core.finished(ticket, now, how, now - search.granted, random); });
}

bool pg_cluster::refused(session_search& search, const pool_error& why) {
  const bool down = why.code() == pool_errc::backend_down;
  give_back_node(search, down ? query_end::lost : query_end::cancelled);
  const bool elsewhere = down || ((why.code() == pool_errc::queue_full || why.code() == pool_errc::exhausted) && search.kind == session_kind::read);
  if (!elsewhere) return false;
  search.last_refusal = nodes_[search.node].pool_of(search.kind).error_of(why);
  search.tried |= std::uint64_t{1} << search.node;
  if (search.kind == session_kind::write && search.last_refusal == db_errc::not_primary) {
    const auto now = system_clock_source().now();
    watch_.with([&](route_core& core, auto) { core.write_refused(static_cast<node_index>(search.node), {search.granted, now}, std::nullopt); });
  }
  return true;
}

bool pg_cluster::accept(session_search& search, session_lease& session) {
  auto how = query_end::cancelled;
  try {
    const auto no = objection(search, session);
    if (!no) return true;
    how = *no;
  } catch (...) {
    give_back_node(search, how);
    throw;
  }
  give_back_node(search, how);
  // A session that still waits for an answer goes to be cleaned.
  give_back(*nodes_[search.node].driver, std::move(session));
  return false;
}

std::optional<query_end> pg_cluster::objection(session_search& search, session_lease& session) {
  auto& connection = static_cast<pg_connection&>(**session);
  const auto index = static_cast<node_index>(search.node);
  if (static_cast<route_use>(search.use) == route_use::replica_read) {
    // `granted` stays as it is: the wait for a session tells how a node copes as much as its answers do.
    if (!search.check_first || connection.opened_at() <= search.proof_asked) return std::nullopt;
    return has_replayed(search, connection);
  }
  const route_ticket ticket{index, search.epoch, static_cast<route_use>(search.use)};
  const auto now = system_clock_source().now();
  const bool holds = watch_.with([&](route_core& core, auto) { return core.holds(ticket); });
  if (holds && connection.is_standby() != true) return std::nullopt;
  if (holds) {
    // It may have been opened when that was so, and not have been used since; a new one tells.
    if (connection.opened_at() >= search.granted) {
      watch_.with([&](route_core& core, auto) { core.role_reported(index, {search.granted, now}, true); });
    }
    connection.abandon();
  }
  return query_end::cancelled;
}

/// Asks the replica until it has come far enough, or it is too late.
std::optional<query_end> pg_cluster::has_replayed(session_search& search, pg_connection& connection) {
  const auto index = static_cast<node_index>(search.node);
  const auto bit = std::uint64_t{1} << index;
  const auto last = search.until.sooner(deadline::after(system_clock_source().now(), std::max<std::chrono::nanoseconds>(config_.routing.replay_wait, 20ms)));
  for (auto pause = first_pause;; pause = std::min(2 * pause, longest_pause)) {
    const auto asked = system_clock_source().now();
    const auto position = connection.replay_position(last);
    const auto answered = system_clock_source().now();
    if (!position) {
      if (position.error() != db_errc::timed_out) return query_end::lost;  // it may have been this session alone
      search.tried |= bit;
      return query_end::timed_out;
    }
    if (*position) {
      watch_.with([&](route_core& core, auto) { core.replay_answered(index, {asked, answered}, **position, search.need); });
      if (**position >= search.need) return std::nullopt;
    }
    if (!*position || last.passed(answered + pause)) {
      search.tried |= bit;
      return query_end::cancelled;
    }
    std::this_thread::sleep_for(pause);
  }
}

// ---- waiting ------------------------------------------------------------------------------------------------------------------------------

void pg_cluster::wait(const session_step& step) {
  auto& held = held_of(step.kind);
  held.fetch_add(1, std::memory_order_relaxed);
  watch_.wait(step.version, step.wait_until.value_or(time_point::max()));
  held.fetch_sub(1, std::memory_order_relaxed);
}

// As often as a blocked caller asks at the latest: the router's answer names the time, and that is near.
void pg_cluster::async_wait(const session_step& step, const boost::asio::any_io_executor& threads,
                            boost::asio::any_completion_handler<void()> handler) {
  auto& held = held_of(step.kind);
  held.fetch_add(1, std::memory_order_relaxed);
  const auto slot = boost::asio::get_associated_cancellation_slot(handler);
  const auto timer = std::make_shared<boost::asio::steady_timer>(threads, step.wait_until.value_or(time_point::max()));
  auto over = [&held, timer, waiting = std::move(handler)](const boost::system::error_code&) mutable {
    held.fetch_sub(1, std::memory_order_relaxed);
    std::move(waiting)();
  };
  timer->async_wait(boost::asio::bind_cancellation_slot(slot, std::move(over)));
}

bool pg_cluster::async_query(const std::shared_ptr<query_operation>& operation, const session_options& options, deadline until) {
  if (draining_.load(std::memory_order_relaxed) || config_.sessions.query_connections == 0) return false;
  const auto now = system_clock_source().now();
  return std::make_shared<pg_routed_query>(shared_from_this(), operation, question_of(options, 0, now, now), until, queries_.executor())->start();
}

std::optional<route_ticket> pg_cluster::grant_query(const read_question& question, time_point now, bool hedge) {
  if (draining_.load(std::memory_order_relaxed)) return std::nullopt;
  const auto answer = watch_.with([&](route_core& core, std::uint64_t random) { return core.choose_read(question, now, random); });
  if (answer.action != route_action::use) return std::nullopt;
  // When the shared connections were opened is not known here, so they prove nothing.
  if (answer.how == freshness::not_asked && (!hedge || answer.ticket.use == route_use::replica_read)) return answer.ticket;
  finish_query(answer.ticket, now, query_end::cancelled);
  return std::nullopt;
}

bool pg_cluster::submit(const route_ticket& ticket, const std::shared_ptr<query_operation>& operation, deadline until) {
  return nodes_[ticket.node].driver->async_query(operation, until);
}

void pg_cluster::finish_query(const route_ticket& ticket, time_point asked, query_end how) {
  const auto now = system_clock_source().now();
  watch_.with([&](route_core& core, std::uint64_t random) { core.finished(ticket, now, how, now - asked, random); });
}

void pg_cluster::query_took(time_point began, bool answered) {
  if (config_.routing.hedge_ratio <= 0) return;
  const auto now = system_clock_source().now();
  const std::scoped_lock lock{hedge_mutex_};
  // One that had little time is not known to be a quick one.
  if (!answered && now - began < hedge_.delay().value_or(std::chrono::nanoseconds::max())) return;
  hedge_.took(now - began, now);
}

std::optional<std::chrono::nanoseconds> pg_cluster::hedge_delay() {
  if (config_.routing.hedge_ratio <= 0) return std::nullopt;
  const std::scoped_lock lock{hedge_mutex_};
  hedge_.asked();
  return hedge_.delay();
}

bool pg_cluster::may_hedge() {
  const std::scoped_lock lock{hedge_mutex_};
  const bool may = hedge_.try_spend();
  if (may) ++hedged_;
  return may;
}

// ---- what is known ------------------------------------------------------------------------------------------------------------------------

void pg_cluster::changed(const route_change& change) {
  if (change.kind == route_change_kind::node_down) nodes_[change.node].driver->give_up(true);
  if (change.kind == route_change_kind::node_up) nodes_[change.node].driver->give_up(false);
  switch (change.kind) {
    case route_change_kind::system_known:
    case route_change_kind::primary_is:
    case route_change_kind::node_up:
    case route_change_kind::node_returned: return log(log_level::info, change);
    case route_change_kind::node_ejected:
    case route_change_kind::node_down:
    case route_change_kind::primary_lost: return log(log_level::warning, change);
    case route_change_kind::two_primaries:
    case route_change_kind::node_foreign: return log(log_level::error, change);
  }
}

void pg_cluster::log(log_level level, const route_change& change) const {
  const auto& database = config_.sessions.database;
  if (!database.log) return;
  const auto epoch = std::to_string(change.epoch);
  const std::string_view who = change.node == no_node ? std::string_view{} : nodes_[change.node].name;
  const auto why = change.kind == route_change_kind::node_down ? watch_.last_failure(change.node).what() : std::string{};
  const std::array<log_field, 5> fields{
      {{"database", database.name}, {"node", who}, {"change", to_string(change.kind)}, {"epoch", epoch}, {"why", why}}};
  database.log(log_event{level, "db", "the cluster has changed", fields});
}

pool_stats pg_cluster::stats_of(session_kind kind) const {
  pool_stats sum;
  for (const auto& each : nodes_) {
    const auto& pool = kind == session_kind::read ? each.reads : each.writes;
    if (pool) add(sum, pool->sessions().stats());
  }
  return sum;
}

statement_cache_stats pg_cluster::cache_stats() const noexcept {
  statement_cache_stats sum;
  for (const auto& each : nodes_) {
    const auto more = each.driver->cache_stats();
    sum.hits += more.hits;
    sum.misses += more.misses;
    sum.evictions += more.evictions;
  }
  return sum;
}

routing_stats pg_cluster::routing() {
  auto stats = watch_.with([](route_core& core, auto) { return core.stats(system_clock_source().now()); });
  const std::scoped_lock lock{hedge_mutex_};
  stats.hedged = hedged_;
  return stats;
}

std::string pg_cluster::explain(const session_options& options) {
  const auto now = system_clock_source().now();
  const auto question = question_of(options, 0, now, now);
  std::vector<std::string> failures;
  for (node_index i = 0; i < nodes_.size(); ++i) failures.push_back(watch_.last_failure(i).what());
  return watch_.with([&](route_core& core, auto) { return core.explain(question, now, failures); });
}

}  // namespace spillway::detail

namespace spillway {

namespace {

std::shared_ptr<detail::pg_cluster> cluster_of(const database& db) noexcept {
  return std::dynamic_pointer_cast<detail::pg_cluster>(detail::database_access::source(db));
}

}  // namespace

result<database, db_error> open_postgres_cluster(const postgres_cluster_config& config) {
  return detail::open_database(config.sessions.database, std::make_shared<detail::pg_cluster>(config));
}

result<routing_stats, db_error> routing_of(const database& db) { return routing_reporter(db)(); }

std::function<result<routing_stats, db_error>()> routing_reporter(const database& db) {
  if (auto cluster = cluster_of(db)) return [kept = std::move(cluster)]() -> result<routing_stats, db_error> { return kept->routing(); };
  return []() -> result<routing_stats, db_error> { return db_error{db_errc::not_supported, "this database is not a cluster: nothing is routed"}; };
}

std::string explain_routing(const database& db, const session_options& options) {
  const auto cluster = cluster_of(db);
  return cluster != nullptr ? cluster->explain(options) : std::string{"one server, so nothing is routed"};
}

}  // namespace spillway
