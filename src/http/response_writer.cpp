// SPDX-License-Identifier: Apache-2.0
#include "response_writer.hpp"

#include <array>
#include <charconv>
#include <cstddef>
#include <cstring>

namespace spillway::detail {

namespace {

/// Writes into space made once, instead of asking the string for room at each piece.
class appender {
 public:
  explicit appender(char* at) noexcept : at_{at} {}

  appender& operator<<(std::string_view text) noexcept {
    std::memcpy(at_, text.data(), text.size());
    at_ += text.size();
    return *this;
  }
  appender& operator<<(std::uint64_t number) noexcept {
    at_ = std::to_chars(at_, at_ + most_digits, number).ptr;
    return *this;
  }

  static constexpr std::size_t most_digits{20};
  [[nodiscard]] char* at() const noexcept { return at_; }

 private:
  char* at_;
};

constexpr std::string_view status_begin{"HTTP/1.1 "};
constexpr std::string_view length_name{"Content-Length: "};
constexpr std::string_view date_name{"Date: "};
constexpr std::string_view id_name{"X-Request-Id: "};
constexpr std::string_view close_line{"Connection: close\r\n"};
constexpr std::string_view keep_line{"Connection: keep-alive\r\n"};
constexpr std::string_view line_end{"\r\n"};

}  // namespace

std::string_view write_head(std::string& out, const http_response& response, const response_context& context) {
  const int status = response.status();
  const auto body = response.body();
  const bool has_no_body = status == 204 || status == 304;
  const auto reason = http_reason(status);

  std::size_t most = status_begin.size() + 2 * appender::most_digits + reason.size() + length_name.size() + date_name.size() +
                     context.date.size() + id_name.size() + context.request_id.size() + keep_line.size() + 8 * line_end.size();
  for (const auto& header : response.headers()) most += header.name.size() + header.value.size() + 4;
  const auto begin = out.size();
  out.resize(begin + most);

  appender to{out.data() + begin};
  to << status_begin << static_cast<std::uint64_t>(status) << " " << reason << line_end;
  for (const auto& header : response.headers()) to << header.name << ": " << header.value << line_end;
  if (!has_no_body) to << length_name << body.size() << line_end;
  to << date_name << context.date << line_end << id_name << context.request_id << line_end;
  if (context.close) {
    to << close_line;
  } else if (!context.version_11) {
    to << keep_line;
  }
  to << line_end;
  out.resize(static_cast<std::size_t>(to.at() - out.data()));
  return has_no_body || context.head_only ? std::string_view{} : body;
}

}  // namespace spillway::detail
