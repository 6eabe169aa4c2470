// SPDX-License-Identifier: Apache-2.0
/// @file
/// Checks that bytes are UTF-8, and makes any bytes fit to be shown.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace analysis {

/// Checks a text that arrives in pieces: no overlong forms, no surrogates, nothing above U+10FFFF.
///
/// Threads: one at a time. Cost: three bytes of state.
class utf8_checker {
 public:
  void feed(std::string_view bytes) noexcept;

  /// True when all bytes so far are whole, valid characters.
  [[nodiscard]] bool complete() const noexcept { return valid_ && missing_ == 0; }

 private:
  bool valid_{true};
  std::uint8_t missing_{0};  // Continuation bytes still to come, and the range of the next one.
  std::uint8_t lowest_{0x80};
  std::uint8_t highest_{0xBF};
};

[[nodiscard]] bool is_utf8(std::string_view bytes) noexcept;

/// The text as valid UTF-8 that keeps to one line: control characters, backslashes and bytes that are not UTF-8
/// appear as \xNN. Different inputs give different outputs.
[[nodiscard]] std::string displayable(std::string_view bytes);

}  // namespace analysis
