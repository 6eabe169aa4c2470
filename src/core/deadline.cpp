// SPDX-License-Identifier: Apache-2.0
#include <spillway/core/deadline.hpp>

#include <spillway/core/core_error.hpp>

#include <charconv>

namespace spillway {

std::string encode_deadline(deadline until, time_point now) {
  if (until.is_never()) return {};
  return std::to_string(std::chrono::duration_cast<std::chrono::milliseconds>(until.remaining(now)).count());
}

result<deadline> decode_deadline(std::string_view text, time_point now, std::chrono::milliseconds longest) {
  constexpr std::size_t most_digits{12};
  std::int64_t value{0};
  const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.empty() || text.size() > most_digits || text.front() == '-' || failure != std::errc{} ||
      end != text.data() + text.size()) {
    return make_error_code(core_errc::malformed);
  }
  return deadline::after(now, std::min(std::chrono::milliseconds{value}, longest));
}

}  // namespace spillway
