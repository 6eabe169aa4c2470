// SPDX-License-Identifier: Apache-2.0
// One connection that carries the statements of many callers, one behind the other.
#pragma once

#include "pg_channel.hpp"
#include "pg_cleaner.hpp"
#include "pg_node.hpp"
#include "pg_statement_cache.hpp"
#include "pg_values.hpp"

#include "../../query_operation.hpp"

#include <boost/asio/any_completion_executor.hpp>
#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/container/small_vector.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <vector>

namespace spillway::detail {

/// A statement on its way. Touched by the thread of the lanes alone.
struct lane_query {
  lane_query(std::shared_ptr<query_operation> asked, deadline latest, const boost::asio::any_io_executor& fallback)
      : operation{std::move(asked)}, work{operation->executor(fallback)}, until{latest} {}

  std::shared_ptr<query_operation> operation;  // null once it is answered
  boost::asio::executor_work_guard<boost::asio::any_completion_executor> work;  // of the handler
  deadline until;
  std::size_t sent{0};   ///< How often.
  bool counted{false};   ///< Among those that wait for an answer.
};

/// Each statement is followed by a Sync of its own, so it is a transaction of its own: what fails for one caller fails for nobody else. Source: the
/// pipeline mode of libpq.
///
/// Threads: all members on the executor, which runs one thing at a time.
class pg_lane : public std::enable_shared_from_this<pg_lane> {
 public:
  /// Who has the lane.
  class owner {
   public:
    /// The end of a query, whether anybody still waits for it or not. `disturbed`: it failed through no fault of its own, and has left no trace.
    virtual void ended(std::shared_ptr<lane_query> query, result<row_set, db_error> rows, bool disturbed) = 0;
    /// Answers have come, so there is room for more.
    virtual void has_room() = 0;
    /// The lane is of no use any more; these have not been answered.
    virtual void broke(pg_lane& lane, std::deque<std::shared_ptr<lane_query>> unanswered, db_error why) = 0;

   protected:
    ~owner() = default;
  };

  pg_lane(owner& by, std::shared_ptr<pg_node> node, pg_channel channel, const boost::asio::any_io_executor& executor, std::uint64_t max_result_bytes);

  /// False: there was no descriptor left to watch the connection by, and it is of no use.
  [[nodiscard]] bool is_watched() const noexcept { return socket_ && socket_->is_open(); }
  void start() { wait_readable(); }
  /// It may be refused before it is sent, and has then ended.
  void send(std::shared_ptr<lane_query> query);
  /// More than one statement is about to be sent: what `send` hands over leaves with `flush`. libpq gives the kernel each Sync by itself, and each would
  /// be a packet and wake the server.
  void gather() noexcept;
  /// Hands what was sent to the kernel.
  void flush();
  /// Leaves what is under way to others.
  void cut();
  /// Closes the connection; what is under way is forgotten.
  void close();

  [[nodiscard]] std::size_t in_flight() const noexcept { return under_way_.size(); }
  /// Since when the server has been at the oldest statement.
  [[nodiscard]] time_point head_since() const noexcept { return head_since_; }
  /// From time to time: with TLS, something may have come that the socket did not tell of.
  void look_again();
  /// Cancels the oldest statement on the server if nobody waits for it and it has run for `patience`. May hit the one behind it, which is then
  /// disturbed.
  void stop_abandoned(pg_canceller& canceller, time_point now, std::chrono::nanoseconds patience);

 private:
  enum class command : std::uint8_t { deallocate, prepare, statement, sync };
  struct sent_query {
    std::shared_ptr<lane_query> query;
    std::shared_ptr<pg_prepared> statement;
    std::uint64_t prepared{0};  // how often the statement had been by then
    boost::container::small_vector<command, 4> commands;
    std::size_t answered_commands{0};
    std::shared_ptr<row_data> rows;
    pg_row_decoder decoder;
    db_error failure;
    bool disturbed{false};
    bool answered{false};

    [[nodiscard]] command current() const noexcept { return commands[answered_commands]; }
    /// True: that was the last.
    bool step() noexcept { return ++answered_commands == commands.size(); }
    /// As new, but for the memory.
    void clear() noexcept;
  };
  using sent_ptr = std::unique_ptr<sent_query>;

  /// False where there are no packets, as over a socket of the file system.
  bool cork(bool on) noexcept;
  void wait_readable();
  void wait_writable();
  void on_readable();
  void take_in();
  void read_answers();
  void take(sent_query& head, const PGresult* answer);
  /// Before anything of a statement's answer is looked at, or libpq gathers all its rows.
  void head_changed();
  void answer(sent_query& head);
  void end_head();
  [[nodiscard]] bool send_commands(sent_query& made);
  [[nodiscard]] bool send_deallocations(sent_query& made);
  void note_failure(sent_query& head, const PGresult* answer);
  void fail(db_error why);

  owner& owner_;
  std::shared_ptr<pg_node> node_;
  pg_channel channel_;
  std::optional<boost::asio::posix::stream_descriptor> socket_;  // another descriptor of the channel's socket
  std::uint64_t max_result_bytes_;
  pg_statement_cache cache_;
  std::uint64_t generation_;
  pg_parameters parameters_;
  std::deque<sent_ptr> under_way_;
  std::vector<sent_ptr> spare_;  // no more than were ever under way
  time_point head_since_{};
  bool head_cancelled_{false};
  bool ever_cancelled_{false};
  bool gathers_{false};
  bool writing_{false};
  bool closed_{false};
};

}  // namespace spillway::detail
