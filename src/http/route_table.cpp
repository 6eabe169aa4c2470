// SPDX-License-Identifier: Apache-2.0
#include "route_table.hpp"

#include "request_builder.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <stdexcept>
#include <utility>

namespace spillway::detail {

namespace {

using namespace std::chrono_literals;

constexpr std::uint64_t most_body_bytes{std::uint64_t{1} << 40};

[[noreturn]] void bad_pattern(std::string_view pattern, std::string_view why) {
  throw std::invalid_argument(fmt::format("http_router: the pattern '{}' {}", pattern, why));
}

[[nodiscard]] bool is_parameter(std::string_view segment) noexcept { return segment.starts_with('{') && segment.ends_with('}'); }
[[nodiscard]] bool is_rest(std::string_view segment) noexcept { return segment.ends_with("*}"); }

/// Without braces and star.
[[nodiscard]] std::string_view name_in(std::string_view segment) noexcept {
  return segment.substr(1, segment.size() - (is_rest(segment) ? 3 : 2));
}

[[nodiscard]] bool is_name(std::string_view text) noexcept {
  constexpr auto letters = make_table("_");
  return !text.empty() && !(text.front() >= '0' && text.front() <= '9') && all_of_class(text, letters);
}

[[nodiscard]] std::vector<std::string_view> split_pattern(std::string_view pattern) {
  if (!pattern.starts_with('/')) bad_pattern(pattern, "does not begin with a slash");
  std::vector<std::string_view> segments;
  for (std::size_t at = 1; at <= pattern.size();) {
    const auto end = std::min(pattern.find('/', at), pattern.size());
    const auto segment = pattern.substr(at, end - at);
    const bool last = end == pattern.size();
    if (segment.empty() && !last) bad_pattern(pattern, "has an empty segment");
    if (segment == "." || segment == "..") bad_pattern(pattern, "has a dot segment, which no request can have");
    if (is_parameter(segment)) {
      if (is_rest(segment) && !last) bad_pattern(pattern, "has a rest that is not its last segment");
      if (!is_name(name_in(segment))) bad_pattern(pattern, "has a parameter whose name is not letters, digits and underscores");
    } else {
      for (const char c : segment) {
        const auto byte = static_cast<unsigned char>(c);
        if (byte <= 0x20 || byte == 0x7F || std::string_view{"{}?#%*"}.find(c) != std::string_view::npos) {
          bad_pattern(pattern, "has a character that is not allowed in text; parameters are whole segments, and text is written decoded");
        }
      }
    }
    segments.push_back(segment);
    if (segments.size() > most_segments) bad_pattern(pattern, "has more than 64 segments");
    at = end + 1;
  }
  return segments;
}

http_response answer_unrouted(const http_request& request) {
  const auto allowed = request_builder::allowed(request);
  if (request.method() == http_method::options && allowed != 0) {
    return http_response{204}.set("Allow", allow_text(allowed));
  }
  if (request.method() == http_method::other) return http_response::problem(request, 501, "The method is not known here.");
  if (allowed == 0) return http_response::problem(request, 404, "There is nothing at this path.");
  return http_response::problem(request, 405, "This path does not answer this method.").set("Allow", allow_text(allowed));
}

}  // namespace

std::string allow_text(method_mask methods) {
  if ((methods & mask_of(http_method::get)) != 0) methods |= mask_of(http_method::head);
  methods |= mask_of(http_method::options);
  std::string text;
  for (std::size_t i = 0; i < method_count; ++i) {
    const auto method = static_cast<http_method>(i);
    if ((methods & mask_of(method)) == 0) continue;
    if (!text.empty()) text += ", ";
    text += to_string(method);
  }
  return text;
}

route_table::route_table() : fallback_handler_{answer_unrouted} {}

route_table::node& route_table::child_for(node& at, std::string_view segment, std::string_view pattern, route_entry& entry) {
  if (!is_parameter(segment)) {
    auto& child = at.fixed[std::string{segment}];
    if (!child) child = std::make_unique<node>();
    return *child;
  }
  const auto name = name_in(segment);
  auto& names = entry.parameter_names;
  if (std::find(names.begin(), names.end(), name) != names.end()) bad_pattern(pattern, "has two parameters of one name");
  names.emplace_back(name);
  auto& child = is_rest(segment) ? at.rest : at.parameter;
  if (!child) {
    child = std::make_unique<node>();
    child->parameter_name = name;
    child->named_by = pattern;
  } else if (child->parameter_name != name) {
    throw std::invalid_argument(fmt::format("http_router: '{}' conflicts with '{}': one place in the path would be called both '{}' and '{}'",
                                            pattern, child->named_by, name, child->parameter_name));
  }
  return *child;
}

void route_table::add(http_method method, std::string_view pattern, http_handler handler, http_route_options options) {
  if (method == http_method::other || method == http_method::connect || method == http_method::trace) {
    throw std::invalid_argument(fmt::format("http_router: the method {} of '{}' cannot be routed", to_string(method), pattern));
  }
  if (options.max_body_bytes.value_or(0) > most_body_bytes) {
    throw std::invalid_argument(fmt::format("http_route_options.max_body_bytes of '{}' is {}; it must be at most {}", pattern,
                                            *options.max_body_bytes, most_body_bytes));
  }
  if (options.timeout.value_or(1ms) <= 0ms) {
    throw std::invalid_argument(fmt::format("http_route_options.timeout of '{}' is {} ms; it must be above zero", pattern,
                                            options.timeout->count()));
  }
  const auto segments = split_pattern(pattern);
  auto entry = std::make_unique<route_entry>(method, std::string{pattern}, std::move(handler), std::move(options));
  node* at = &root_;
  for (const auto segment : segments) at = &child_for(*at, segment, pattern, *entry);
  auto& slot = at->entries[static_cast<std::size_t>(method)];
  if (slot != nullptr) {
    throw std::invalid_argument(
        fmt::format("http_router: {} '{}' conflicts with '{}', which is registered already", to_string(method), pattern, slot->pattern));
  }
  slot = entry.get();
  all_methods_ |= mask_of(method);
  entries_.push_back(std::move(entry));
}

void route_table::freeze(const log_sink& log) {
  const auto make_chain = [&](const http_handler& handler, const std::vector<http_middleware>& own) {
    std::vector<const http_middleware*> around;
    for (const auto& one : around_all_) around.push_back(&one);
    for (const auto& one : own) around.push_back(&one);
    return call_chain{handler, std::move(around), log};
  };
  for (const auto& entry : entries_) entry->chain.emplace(make_chain(entry->handler, entry->options.middleware));
  fallback_chain_.emplace(make_chain(fallback_handler_, {}));
}

/// Goes down the tree depth first, text before parameters before rests, to the first node that answers the method. Each node is visited at most
/// once for a path, so the work is bounded by the table.
struct route_table::search {
  http_method method;
  const decoded_path& path;
  method_mask allowed{0};
  route_entry* entry{nullptr};
  std::array<std::string_view, most_segments> values{};
  std::size_t depth{0};

  [[nodiscard]] bool at_end(const node& here) {
    entry = here.entries[static_cast<std::size_t>(method)];
    if (entry == nullptr && method == http_method::head) entry = here.entries[static_cast<std::size_t>(http_method::get)];
    if (entry != nullptr) return true;
    for (const auto* one : here.entries) {
      if (one != nullptr) allowed |= mask_of(one->method);
    }
    return false;
  }

  [[nodiscard]] bool below(const node& here, std::size_t index) {
    if (index == path.count) return at_end(here);
    const auto segment = path.segments[index];
    if (const auto child = here.fixed.find(segment); child != here.fixed.end() && below(*child->second, index + 1)) return true;
    if (here.parameter && !segment.empty()) {
      values[depth++] = segment;
      if (below(*here.parameter, index + 1)) return true;
      --depth;
    }
    const auto rest = path.whole.substr(static_cast<std::size_t>(segment.data() - path.whole.data()));
    if (here.rest && !rest.starts_with('/')) {  // which would be an absolute path to whoever names a file by it
      values[depth++] = rest;
      if (at_end(*here.rest)) return true;
      --depth;
    }
    return false;
  }
};

route_table::found route_table::find(http_method method, const decoded_path& path, std::vector<http_parameter>& parameters) const {
  if (path.whole == "*") return {nullptr, all_methods_};
  search looking{method, path};
  if (!looking.below(root_, 0)) return {nullptr, looking.allowed};
  const auto& names = looking.entry->parameter_names;
  for (std::size_t i = 0; i < names.size(); ++i) parameters.push_back({names[i], looking.values[i]});
  return {looking.entry, mask_of(looking.entry->method)};
}

}  // namespace spillway::detail
