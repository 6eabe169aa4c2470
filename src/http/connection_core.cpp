// SPDX-License-Identifier: Apache-2.0
#include "connection_core.hpp"

#include "response_writer.hpp"

#include <algorithm>
#include <string>
#include <utility>

namespace spillway::detail {

namespace {

constexpr std::size_t read_bytes{2048};           // the least worth a system call
constexpr std::size_t body_read_bytes{16 * 1024};
constexpr std::size_t most_chunk_header{4096};
constexpr std::size_t copied_body_bytes{16 * 1024};  // a larger one is written from where it is
constexpr std::size_t flush_bytes{64 * 1024};
constexpr std::size_t kept_input_bytes{16 * 1024};
constexpr std::string_view go_on{"HTTP/1.1 100 Continue\r\n\r\n"};

}  // namespace

connection_core::connection_core(core_services& services, std::string_view peer, time_point now)
    : services_{services}, peer_{peer}, now_{now}, since_{now}, scanner_{services.limits.head} {}

connection_core::step connection_core::advance() {
  for (;;) {
    switch (state_) {
      case state::between:
        if (must_flush()) return step::write;
        if (!rest_.empty()) {
          if (!out_.empty()) return step::write;  // views into `input_` are in use until then
          input_.append(rest_.text());
          rest_.release();
        }
        if (!skip_empty_line()) return need_input();
        begin_request();
        break;
      case state::head:
        switch (scanner_.scan(input_.text())) {
          case scan_state::incomplete: return need_input();
          case scan_state::refused: reject(scanner_.why()); break;
          case scan_state::complete:
            if (const auto refused = take_head()) reject(*refused);
            break;
        }
        break;
      case state::body:
        if (const auto refused = take_body()) {
          reject(*refused);
        } else if (parser_->complete()) {
          state_ = state::ready;
        } else {
          if (!continued_) out_ += go_on;
          continued_ = true;
          return need_input();
        }
        break;
      case state::ready:
        if (!out_.empty() && chain().waits()) return step::write;  // earlier answers do not wait for this one
        builder_.body(parser_->whole_body());
        state_ = state::handling;
        return step::handle;
      case state::handling: return step::handle;
      case state::ended: return out_.empty() ? step::close : step::write;
    }
  }
}

bool connection_core::must_flush() const noexcept {
  return held_ || out_.size() >= flush_bytes || answered_.size() >= services_.limits.pipelined;
}

/// True if a request begins. Some clients send an empty line behind a body; one is forgiven.
bool connection_core::skip_empty_line() noexcept {
  auto text = input_.text();
  if (!skipped_line_ && text.starts_with('\r')) {
    if (text == "\r") return false;
    if (text[1] == '\n') {
      skipped_line_ = true;
      input_.consume(2);
    }
  }
  return !input_.empty();
}

void connection_core::begin_request() {
  state_ = state::head;
  skipped_line_ = continued_ = body_skipped_ = false;
  since_ = now_;
  head_size_ = request_size_ = 0;
  scanner_ = head_scanner{services_.limits.head};
  parser_.reset();
  entry_ = nullptr;
  builder_.begin(now_, peer_, services_.ids.next());
}

std::optional<refusal> connection_core::take_head() {
  const auto& limits = services_.limits;
  head_size_ = request_size_ = scanner_.size();
  parser_.emplace(builder_.headers(), builder_.body_storage());
  const auto& head = parser_->head();
  const auto malformed = parser_->parse_head(input_.text().substr(0, head_size_));
  builder_.identify(head);
  if (malformed) return malformed;
  if (head.target.size() > limits.head.target_bytes) return refusal{rejection::target_too_long, "The request target is too long."};
  if (head.method == http_method::connect) return refusal{rejection::method, "This server is no proxy."};
  decoded_path path;
  if (const auto wrong = builder_.target(path); !wrong.empty()) return refusal{rejection::malformed, wrong};

  const auto found = services_.table.find(head.method, path, builder_.parameters());
  entry_ = found.entry;
  std::chrono::nanoseconds timeout{limits.request_timeout};
  std::uint64_t body_bytes{limits.body_bytes};
  if (entry_ != nullptr) {
    if (entry_->options.timeout) timeout = *entry_->options.timeout;
    body_bytes = entry_->options.max_body_bytes.value_or(body_bytes);
  }
  builder_.route(entry_ != nullptr ? std::string_view{entry_->pattern} : std::string_view{}, found.allowed,
                 deadline::after(now_, timeout));

  if (const auto refused = parser_->limit_body(body_bytes)) return refused;
  if (parser_->complete()) {
    state_ = state::ready;
  } else if (head.expects_continue && entry_ == nullptr) {
    body_skipped_ = true;
    state_ = state::ready;
  } else {
    continued_ = !head.expects_continue;
    since_ = now_;
    state_ = state::body;
  }
  return std::nullopt;
}

std::optional<refusal> connection_core::take_body() {
  if (request_size_ == head_size_ && rest_.empty()) {
    const auto text = input_.text().substr(head_size_);
    std::size_t used{0};
    if (const auto refused = parser_->parse_body(text, used)) return refused;
    request_size_ += used;
    if (parser_->complete()) return std::nullopt;
    rest_.append(text.substr(used));
    input_.truncate(request_size_);
  } else {
    std::size_t used{0};
    if (const auto refused = parser_->parse_body(rest_.text(), used)) return refused;
    rest_.consume(used);
  }
  if (!parser_->complete() && rest_.text().size() > most_chunk_header) {
    return refusal{rejection::malformed, "The chunked body is malformed."};
  }
  return std::nullopt;
}

std::span<char> connection_core::space() {
  if (state_ == state::body) return rest_.space(body_read_bytes);
  if (input_.empty() && input_.capacity() > kept_input_bytes) input_.release();
  return input_.space(read_bytes);
}

void connection_core::received(std::size_t bytes, time_point now) noexcept {
  now_ = now;
  (state_ == state::body ? rest_ : input_).received(bytes);
}

void connection_core::answer(http_response response, bool last, time_point now) {
  ++served_;
  const bool server_ends = last || body_skipped_ || served_ >= services_.limits.requests;
  const bool close = server_ends || !parser_->wants_keep_alive();
  const auto method = request().method();
  auto& record = remember(response.status());
  record.stats = entry_ == nullptr ? &services_.table.fallback_stats(method)
                 : method == entry_->method ? &entry_->stats
                                            : &entry_->head_stats;
  put_out(std::move(response), close, now);
  builder_.end();
  input_.consume(request_size_);
  request_size_ = 0;
  if (rest_.empty()) rest_.release();
  if (close) {
    linger_ = server_ends || has_input_behind();
    state_ = state::ended;
  } else {
    state_ = state::between;
  }
}

void connection_core::abandon() {
  if (state_ != state::handling) return;
  auto& record = remember(0);
  record.stats = entry_ != nullptr ? &entry_->stats : &services_.table.fallback_stats(request().method());
  builder_.end();
  state_ = state::ended;
}

void connection_core::reject(const refusal& refused) {
  const auto& entry = entry_of(refused.why);
  auto response = http_response::problem(request(), entry.status, refused.detail);
  if (refused.why == rejection::connections) response.set("Retry-After", std::to_string(services_.limits.retry_after.count()));
  remember(entry.status).why = refused.why;
  put_out(std::move(response), true, now_);
  linger_ = true;
  state_ = state::ended;
}

answered_request& connection_core::remember(int status) {
  const auto& r = request();
  auto& record = answered_.emplace_back();
  record.status = status;
  record.method = r.method();
  record.method_name = r.method_name().substr(0, 32);
  record.route = r.route();
  record.target = r.target().substr(0, 1024);
  record.started = r.started();
  const auto id = r.request_id();
  std::copy(id.begin(), id.end(), record.id.begin());
  record.id_size = static_cast<std::uint8_t>(id.size());
  if (parser_) {
    record.user_agent = parser_->head().user_agent.substr(0, 256);
    record.request_bytes = parser_->body_bytes();
  }
  return record;
}

void connection_core::put_out(http_response response, bool close, time_point now) {
  const auto before = out_.size();
  const auto& r = request();
  const response_context context{.date = services_.date.text(now, services_.clock),
                                 .request_id = r.request_id(),
                                 .head_only = r.method() == http_method::head,
                                 .close = close,
                                 .version_11 = !parser_ || parser_->head().version_11};
  const auto body = write_head(out_, response, context);
  answered_.back().response_bytes = out_.size() - before + body.size();
  if (body.size() <= copied_body_bytes) {
    out_ += body;
  } else {
    held_ = std::move(response);
  }
}

std::array<std::string_view, 2> connection_core::output() const noexcept {
  const std::string_view first{out_};
  const std::string_view second{held_ ? held_->body() : std::string_view{}};
  if (sent_ <= first.size()) return {first.substr(sent_), second};
  return {std::string_view{}, second.substr(sent_ - first.size())};
}

bool connection_core::all_sent() const noexcept { return sent_ == out_.size() + (held_ ? held_->body().size() : 0); }

void connection_core::flushed(time_point now) noexcept {
  out_.clear();
  if (out_.capacity() > 2 * flush_bytes) std::string{}.swap(out_);
  held_.reset();
  sent_ = 0;
  answered_.clear();
  // Whatever the state, the client was not read from until now.
  if (state_ == state::between || state_ == state::head || state_ == state::body) since_ = now;
}

void connection_core::time_out(time_point now) {
  now_ = now;
  if (state_ == state::head) reject({rejection::head_timeout, "The head of the request did not arrive in time."});
  if (state_ == state::body) reject({rejection::body_timeout, "The body of the request did not arrive in time."});
}

void connection_core::refuse_connection() {
  begin_request();
  reject({rejection::connections, "There are too many connections."});
}

connection_phase connection_core::phase() const noexcept {
  switch (state_) {
    case state::between: return served_ == 0 ? connection_phase::fresh : connection_phase::idle;
    case state::head: return connection_phase::head;
    case state::body: return connection_phase::body;
    case state::ready:
    case state::handling: return connection_phase::handling;
    case state::ended: break;
  }
  return connection_phase::writing;
}

}  // namespace spillway::detail
