// SPDX-License-Identifier: Apache-2.0
// The request target (RFC 9112, 3.2) and percent-encoding.
#pragma once

#include <spillway/http/http_request.hpp>

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace spillway::detail {

struct parsed_target {
  std::string_view path;       // still encoded; "*" for OPTIONS *
  std::string_view query;      // still encoded, without the question mark
  std::string_view authority;  // of an absolute target
};

/// Splits any form of target. Answers why it cannot, or an empty text.
[[nodiscard]] std::string_view split_target(http_method method, std::string_view target, parsed_target& out) noexcept;

/// Appends `text` to `out`, decoded. False at a broken escape, or one that stands for a NUL.
[[nodiscard]] bool append_decoded(std::string& out, std::string_view text, bool plus_is_space);

inline constexpr std::size_t most_segments{64};
inline constexpr std::size_t most_query_parameters{256};

/// A path as its segments, decoded where it had escapes. The views are into the path itself or into the string given to `decode_path`.
struct decoded_path {
  std::string_view whole;
  std::size_t count{0};
  std::array<std::string_view, most_segments> segments;
};

/// Answers why it cannot, or an empty text. Reserve path.size() in `storage` before: what it held stays where it is.
[[nodiscard]] std::string_view decode_path(std::string_view path, std::string& storage, decoded_path& out);

/// The same for the query, into `out`.
[[nodiscard]] std::string_view decode_query(std::string_view query, std::string& storage, std::vector<http_parameter>& out);

}  // namespace spillway::detail
