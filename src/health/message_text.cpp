// SPDX-License-Identifier: Apache-2.0
#include "health/message_text.hpp"

#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <boost/json/string.hpp>
#include <boost/json/value.hpp>

#include <algorithm>
#include <cstddef>

namespace spillway::detail {

std::string clean_message(std::string message) {
  constexpr std::size_t longest{512};
  const auto is_continuation = [](char c) { return (static_cast<unsigned char>(c) & 0xC0U) == 0x80; };
  if (message.size() > longest) {
    std::size_t end{longest};
    while (end > longest - 4 && is_continuation(message[end])) --end;  // not within a character
    message.resize(end);
  }
  boost::system::error_code invalid;
  boost::json::parse(json_string(message), invalid);  // the parser knows what UTF-8 is
  if (invalid) {
    std::replace_if(message.begin(), message.end(), [](char c) { return static_cast<signed char>(c) < 0; }, '?');
  }
  return message;
}

std::string json_string(std::string_view text) { return boost::json::serialize(boost::json::string{text}); }

}  // namespace spillway::detail
