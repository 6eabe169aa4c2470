// SPDX-License-Identifier: Apache-2.0
// One connection of HTTP/1.1 without its socket: takes in bytes, says what to do next, gives out bytes.
#pragma once

#include "connection_timeouts.hpp"
#include "head_scanner.hpp"
#include "input_buffer.hpp"
#include "lane_tools.hpp"
#include "rejection.hpp"
#include "request_builder.hpp"
#include "request_parser.hpp"
#include "route_table.hpp"

#include <spillway/core/clock.hpp>
#include <spillway/http/http_response.hpp>

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace spillway::detail {

struct core_limits {
  head_limits head;
  std::uint64_t body_bytes;
  std::uint64_t requests;
  std::size_t pipelined;
  std::chrono::nanoseconds request_timeout;
  std::chrono::seconds retry_after;
};

/// What a core uses of the lane it belongs to. All of it outlives the core.
struct core_services {
  const core_limits& limits;
  const route_table& table;
  const clock_source& clock;
  date_cache date;
  request_id_source ids;
};

/// A request that has its response, until that is sent and the request is told to statistics and log.
struct answered_request {
  route_stats* stats{nullptr};  // nullptr: rejected
  rejection why{};              // if rejected
  http_method method{http_method::other};
  std::uint8_t id_size{0};
  int status{0};
  time_point started;
  std::uint64_t request_bytes{0};
  std::uint64_t response_bytes{0};
  std::string_view method_name;
  std::string_view route;
  std::string_view target;
  std::string_view user_agent;
  std::array<char, 64> id{};
};

/// Threads:  one at a time.
/// Lifetime: `services` and `peer` outlive it.
class connection_core {
 public:
  enum class step : std::uint8_t {
    read,    ///< Read into `space`, then call `received`.
    handle,  ///< Run `chain` on `request`, then call `answer`.
    write,   ///< Write `output`, calling `sent`, then look through `answered` and call `flushed`.
    close,   ///< Nothing is left to do.
  };

  connection_core(core_services& services, std::string_view peer, time_point now);

  [[nodiscard]] step advance();

  [[nodiscard]] std::span<char> space();
  void received(std::size_t bytes, time_point now) noexcept;

  [[nodiscard]] const call_chain& chain() const noexcept { return entry_ != nullptr ? *entry_->chain : services_.table.fallback(); }
  [[nodiscard]] http_request& request() noexcept { return builder_.request(); }
  [[nodiscard]] const http_request& request() const noexcept { return builder_.request(); }
  /// `last`: the connection is to end after this response.
  void answer(http_response response, bool last, time_point now);
  /// In place of `answer`, if one is due: there will be none.
  void abandon();

  [[nodiscard]] std::array<std::string_view, 2> output() const noexcept;
  [[nodiscard]] bool all_sent() const noexcept;
  void sent(std::size_t bytes) noexcept { sent_ += bytes; }
  [[nodiscard]] const std::vector<answered_request>& answered() const noexcept { return answered_; }
  void flushed(time_point now) noexcept;

  /// The client took too long over the request it has begun: it gets a 408.
  void time_out(time_point now);
  /// There is no room for this connection: it gets a 503.
  void refuse_connection();

  [[nodiscard]] connection_phase phase() const noexcept;
  /// When the phase began.
  [[nodiscard]] time_point since() const noexcept { return since_; }
  /// When bytes were last received.
  [[nodiscard]] time_point received_at() const noexcept { return now_; }
  /// True if bytes behind the present request have been received.
  [[nodiscard]] bool has_input_behind() const noexcept { return input_.text().size() > request_size_ || !rest_.empty(); }
  [[nodiscard]] bool ended() const noexcept { return state_ == state::ended; }
  /// At `close`: true if the client may still be sending, so that closing at once could destroy the response on its way.
  [[nodiscard]] bool should_linger() const noexcept { return linger_; }

 private:
  enum class state : std::uint8_t { between, head, body, ready, handling, ended };

  [[nodiscard]] step need_input() const noexcept { return out_.empty() ? step::read : step::write; }
  [[nodiscard]] bool must_flush() const noexcept;
  [[nodiscard]] bool skip_empty_line() noexcept;
  void begin_request();
  [[nodiscard]] std::optional<refusal> take_head();
  [[nodiscard]] std::optional<refusal> take_body();
  void reject(const refusal& refused);
  void put_out(http_response response, bool close, time_point now);
  [[nodiscard]] answered_request& remember(int status);

  core_services& services_;
  std::string_view peer_;
  state state_{state::between};
  bool skipped_line_{false};
  bool continued_{false};   // 100 Continue was sent, or needs not be
  bool body_skipped_{false};  // the client waits for leave to send it, and will not get it
  bool linger_{false};
  time_point now_;
  time_point since_;
  std::uint64_t served_{0};

  input_buffer input_;        // heads, and bodies that came with them
  input_buffer rest_;         // bodies that did not, so that views of the head stay good
  std::size_t head_size_{0};
  std::size_t request_size_{0};  // what the request takes of `input_`
  head_scanner scanner_;
  std::optional<request_parser> parser_;
  request_builder builder_;
  route_entry* entry_{nullptr};

  std::string out_;
  std::optional<http_response> held_;  // its body follows `out_`; too large to be copied behind it
  std::size_t sent_{0};
  std::vector<answered_request> answered_;
};

}  // namespace spillway::detail
