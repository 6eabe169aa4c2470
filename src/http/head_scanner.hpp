// SPDX-License-Identifier: Apache-2.0
// Finds the end of a request's head, and refuses on the way what a parser behind us or before us might read differently.
#pragma once

#include "character_class.hpp"
#include "rejection.hpp"

#include <cstddef>
#include <cstring>
#include <string_view>

namespace spillway::detail {

struct head_limits {
  std::size_t target_bytes;
  std::size_t head_bytes;
  std::size_t headers;
};

enum class scan_state : std::uint8_t { incomplete, complete, refused };

/// Looks at each byte once, however the head is cut into pieces. Beast then parses what was found: it checks names and values, but takes folded
/// lines, has no limit on the number of headers, and sees a line only when the whole head is there.
class head_scanner {
 public:
  explicit head_scanner(const head_limits& limits) noexcept : limits_{limits} {}

  /// `head` begins at the request line and holds all that was received since; it may only grow between two calls.
  [[nodiscard]] scan_state scan(std::string_view head) noexcept {
    if (line_ == 0 && scanned_ == 0 && !head.empty() && !token_characters[static_cast<unsigned char>(head.front())]) {
      return refuse(rejection::malformed, "The request does not begin with a method.");
    }
    while (scanned_ < head.size()) {
      const auto* found = static_cast<const char*>(std::memchr(head.data() + scanned_, '\n', head.size() - scanned_));
      if (found == nullptr) {
        scanned_ = head.size();
        break;
      }
      const auto feed = static_cast<std::size_t>(found - head.data());
      const auto line = head.substr(line_start_, feed - line_start_);  // with the carriage return
      if (line.empty() || line.back() != '\r') return refuse(rejection::malformed, "A line of the head does not end with CR LF.");
      if (line.size() == 1) {
        size_ = feed + 1;
        return size_ > limits_.head_bytes ? refuse(rejection::head_too_large, "The head is too large.") : scan_state::complete;
      }
      if (line_ == 0) {
        if (too_long(line.size())) return refuse(rejection::target_too_long, "The request target is too long.");
      } else if (line.front() == ' ' || line.front() == '\t') {
        return refuse(rejection::malformed, "A header line is folded.");
      } else if (line_ > limits_.headers) {
        return refuse(rejection::head_too_large, "There are too many headers.");
      }
      ++line_;
      line_start_ = scanned_ = feed + 1;
    }
    if (line_ == 0 && too_long(head.size())) return refuse(rejection::target_too_long, "The request target is too long.");
    if (head.size() > limits_.head_bytes) return refuse(rejection::head_too_large, "The head is too large.");
    return scan_state::incomplete;
  }

  /// Of the head with its empty line, once complete.
  [[nodiscard]] std::size_t size() const noexcept { return size_; }
  [[nodiscard]] const refusal& why() const noexcept { return why_; }

 private:
  /// A request line without its target: the longest method worth a name, two spaces, the version, the carriage return.
  static constexpr std::size_t around_target{16 + 2 + 8 + 1};

  [[nodiscard]] bool too_long(std::size_t line_size) const noexcept { return line_size > limits_.target_bytes + around_target; }

  scan_state refuse(rejection why, std::string_view detail) noexcept {
    why_ = {why, detail};
    return scan_state::refused;
  }

  head_limits limits_;
  std::size_t scanned_{0};
  std::size_t line_start_{0};
  std::size_t line_{0};
  std::size_t size_{0};
  refusal why_;
};

}  // namespace spillway::detail
