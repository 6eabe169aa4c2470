// SPDX-License-Identifier: Apache-2.0
#include "pg_lane.hpp"

#include "pg_error.hpp"
#include "pg_plan.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

namespace spillway::detail {

pg_lane::pg_lane(owner& by, std::shared_ptr<pg_node> node, pg_channel channel, const boost::asio::any_io_executor& executor,
                 std::uint64_t max_result_bytes)
    : owner_{by},
      node_{std::move(node)},
      channel_{std::move(channel)},
      max_result_bytes_{max_result_bytes},
      cache_{node_->statement_cache, node_->statements},
      generation_{node_->statement_generation.load(std::memory_order_relaxed)} {
  // A descriptor of its own: libpq closes the one it has as soon as the connection is lost, and then the number may be another socket's.
  socket_.emplace(executor);
  const int own = ::fcntl(PQsocket(channel_.raw()), F_DUPFD_CLOEXEC, 0);
  if (own < 0) return;
  error_code failed;
  socket_->assign(own, failed);
  if (failed) ::close(own);
}

void pg_lane::send(std::shared_ptr<lane_query> query) {
  const auto& asked = query->operation->query();
  const auto statement = pg_plan(cache_, asked.sql(), asked.values());
  if (!statement) return owner_.ended(std::move(query), statement.error(), false);
  if (auto refused = parameters_.assign(asked.values(), asked.sql()); refused.failed()) return owner_.ended(std::move(query), std::move(refused), false);
  sent_ptr made;
  if (spare_.empty()) {
    made = std::make_unique<sent_query>();
  } else {
    made = std::move(spare_.back());
    spare_.pop_back();
  }
  made->query = std::move(query);
  made->statement = *statement;
  made->rows = std::make_shared<row_data>();
  ++made->query->sent;
  const bool well = send_commands(*made);
  const bool is_head = under_way_.empty();
  under_way_.push_back(std::move(made));
  if (!well) return fail(pg_connection_lost(channel_.last_words()));
  if (is_head) head_changed();
}

bool pg_lane::send_commands(sent_query& made) {
  auto* const connection = channel_.raw();
  auto& statement = *made.statement;
  const auto& sql = statement.sql;
  if (!send_deallocations(made)) return false;
  if (statement.name.empty()) {
    if (PQsendQueryParams(connection, std::string{sql}.c_str(), parameters_.count(), parameters_.types(), parameters_.values(), parameters_.lengths(),
                          parameters_.formats(), 0) != 1) {
      return false;
    }
  } else {
    if (!statement.on_server) {
      if (PQsendPrepare(connection, statement.name.c_str(), std::string{sql}.c_str(), parameters_.count(), parameters_.types()) != 1) return false;
      made.commands.push_back(command::prepare);
      statement.on_server = true;  // what follows it relies on it; taken back if it fails
      ++statement.prepared;
    }
    made.prepared = statement.prepared;
    if (PQsendQueryPrepared(connection, statement.name.c_str(), parameters_.count(), parameters_.values(), parameters_.lengths(),
                            parameters_.formats(), 0) != 1) {
      return false;
    }
  }
  made.commands.push_back(command::statement);
  if (PQpipelineSync(connection) != 1) return false;
  made.commands.push_back(command::sync);
  return true;
}

bool pg_lane::send_deallocations(sent_query& made) {
  auto names = cache_.take_dropped();
  // A schema change has outdated what is prepared. The names are the same ever after, so the server has to forget them, too.
  if (const auto newest = node_->statement_generation.load(std::memory_order_relaxed); newest != generation_) {
    generation_ = newest;
    cache_.forget_server();
    names = {"ALL"};
  }
  if (names.empty()) return true;
  for (const auto& name : names) {
    if (PQsendQueryParams(channel_.raw(), ("DEALLOCATE " + name).c_str(), 0, nullptr, nullptr, nullptr, nullptr, 0) != 1) return false;
    made.commands.push_back(command::deallocate);
  }
  // A Sync of their own: a name that is not there must not take the statement with it.
  if (PQpipelineSync(channel_.raw()) != 1) return false;
  made.commands.push_back(command::sync);
  return true;
}

void pg_lane::gather() noexcept {
  if (!closed_ && !gathers_) gathers_ = cork(true);
}

bool pg_lane::cork(bool on) noexcept {
  const int value{on ? 1 : 0};
  return ::setsockopt(PQsocket(channel_.raw()), IPPROTO_TCP, TCP_CORK, &value, sizeof value) == 0;
}

void pg_lane::flush() {
  if (closed_) return;
  const int unsent = PQflush(channel_.raw());
  if (std::exchange(gathers_, false)) (void)cork(false);
  if (unsent < 0) return fail(pg_connection_lost(channel_.last_words()));
  if (unsent > 0) wait_writable();
}

void pg_lane::wait_writable() {
  if (std::exchange(writing_, true)) return;
  socket_->async_wait(boost::asio::posix::descriptor_base::wait_write, [self = shared_from_this()](const boost::system::error_code& stopped) {
    self->writing_ = false;
    if (!stopped) self->flush();
  });
}

void pg_lane::wait_readable() {
  socket_->async_wait(boost::asio::posix::descriptor_base::wait_read, [self = shared_from_this()](const boost::system::error_code& stopped) {
    if (!stopped && !self->closed_) self->on_readable();
  });
}

void pg_lane::on_readable() {
  take_in();
  if (!closed_) wait_readable();
}

void pg_lane::look_again() {
  if (!closed_ && !under_way_.empty() && channel_.may_hide()) take_in();
}

void pg_lane::take_in() {
  constexpr int most_looks{16};  // then it is the others' turn
  bool last{false};
  for (int looks = 0; !last && looks < most_looks; ++looks) {
    last = !channel_.may_hide() || !channel_.readable();
    const bool well = PQconsumeInput(channel_.raw()) == 1;
    read_answers();  // last words come before the end
    if (closed_) return;
    if (!well || channel_.lost()) return fail(pg_connection_lost(channel_.last_words()));
  }
  owner_.has_room();
  flush();
}

void pg_lane::read_answers() {
  auto* const connection = channel_.raw();
  while (!closed_ && !under_way_.empty() && PQisBusy(connection) == 0) {
    const pg_result given{PQgetResult(connection)};
    auto& head = *under_way_.front();
    if (head.current() != command::sync && !given) {
      if (channel_.lost()) return;
      if (head.current() == command::statement) answer(head);
      if (closed_) return;
      (void)head.step();
      head_changed();
    } else if (given && PQresultStatus(given.get()) == PGRES_PIPELINE_SYNC) {
      if (head.step()) end_head();
      if (!under_way_.empty()) head_changed();
    } else if (given) {
      take(head, given.get());
    } else {
      return;
    }
  }
}

void pg_lane::end_head() {
  auto head = std::move(under_way_.front());
  under_way_.pop_front();
  head->clear();
  spare_.push_back(std::move(head));
}

void pg_lane::sent_query::clear() noexcept {
  query.reset();
  statement.reset();
  prepared = 0;
  commands.clear();
  answered_commands = 0;
  rows.reset();
  decoder.clear();
  failure = {};
  disturbed = false;
  answered = false;
}

void pg_lane::head_changed() {
  const auto& head = *under_way_.front();
  head_cancelled_ = false;
  head_since_ = system_clock_source().now();
  if (head.current() == command::statement) (void)PQsetSingleRowMode(channel_.raw());
}

void pg_lane::take(sent_query& head, const PGresult* answer) {
  switch (PQresultStatus(answer)) {
    case PGRES_SINGLE_TUPLE:
    case PGRES_TUPLES_OK:
      if (head.failure.failed() || !head.query->operation) return;
      for (int row = 0; row < PQntuples(answer); ++row) head.decoder.append(answer, row, *head.rows);
      head.decoder.name_columns(answer, *head.rows);
      if (head.rows->size_bytes() > max_result_bytes_) {
        head.failure = db_error{db_errc::result_too_large, fmt::format("the result exceeds max_result_bytes, {} bytes; stream it", max_result_bytes_),
                                0, head.statement->sql};
        *head.rows = {};
        this->answer(head);  // now: the rest, which may be anything, is soon nobody's and then cancelled
      }
      return;
    case PGRES_FATAL_ERROR: return note_failure(head, answer);
    default: return;
  }
}

void pg_lane::note_failure(sent_query& head, const PGresult* answer) {
  const auto state = sqlstate_of(answer);
  // What could not be deallocated is found out when its name is wanted again.
  if (head.failure.failed() || (head.current() == command::deallocate && !ends_session(state))) return;
  head.failure = pg_error(answer, head.statement->sql);
  const bool prepared_before = std::ranges::find(head.commands, command::prepare) == head.commands.end();
  const bool outdated = state == "0A000" || (prepared_before && may_be_of_old_types(state));  // by a change of the schema
  const bool forgotten = state == "26000";
  const bool there_already = state == "42P05" && head.current() == command::prepare;
  head.disturbed = outdated || forgotten || there_already || ends_session(state) || (state == "57014" && ever_cancelled_);
  auto& statement = *head.statement;
  // If it was sent to be prepared again meanwhile, this says nothing of how that will end.
  if (!statement.on_server || statement.prepared != head.prepared) return;
  if (outdated || forgotten || head.current() == command::prepare) statement.on_server = false;
  // The old one goes first when the statement is sent again.
  if ((outdated || there_already) && !statement.name.empty()) cache_.not_dropped(statement.name);
}

void pg_lane::answer(sent_query& head) {
  if (std::exchange(head.answered, true)) return;
  if (head.failure.failed()) {
    owner_.ended(head.query, std::move(head.failure), head.disturbed);
  } else {
    owner_.ended(head.query, row_set{std::move(head.rows)}, false);
  }
}

void pg_lane::stop_abandoned(pg_canceller& canceller, time_point now, std::chrono::nanoseconds patience) {
  if (under_way_.empty() || under_way_.front()->query->operation || head_cancelled_ || now - head_since_ < patience) return;
  if (!canceller.cancel_soon(channel_.raw())) return;  // too many hang: again a little later
  head_cancelled_ = true;
  ever_cancelled_ = true;
}

void pg_lane::cut() { fail(db_error{db_errc::connection_lost, "the server was given up"}); }

void pg_lane::fail(db_error why) {
  if (closed_) return;
  const auto keep = shared_from_this();
  std::deque<std::shared_ptr<lane_query>> unanswered;
  for (auto& sent : under_way_) {
    if (!sent->answered) unanswered.push_back(std::move(sent->query));
  }
  close();
  owner_.broke(*this, std::move(unanswered), std::move(why));
}

void pg_lane::close() {
  if (std::exchange(closed_, true)) return;
  under_way_.clear();
  socket_.reset();
}

}  // namespace spillway::detail
