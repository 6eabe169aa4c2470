// SPDX-License-Identifier: Apache-2.0
// Patterns as a tree of segments, and what hangs at its nodes.
#pragma once

#include "call_chain.hpp"
#include "route_stats.hpp"
#include "target.hpp"

#include <spillway/http/http_router.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace spillway::detail {

inline constexpr std::size_t method_count{10};

/// One bit for each method.
using method_mask = std::uint16_t;
[[nodiscard]] constexpr method_mask mask_of(http_method method) noexcept {
  return static_cast<method_mask>(1U << static_cast<unsigned>(method));
}

/// "GET, HEAD, POST", with what the server answers by itself: HEAD beside GET, and OPTIONS.
[[nodiscard]] std::string allow_text(method_mask methods);

/// A route as registered, and what the server made of it.
struct route_entry {
  route_entry(http_method m, std::string p, http_handler h, http_route_options o)
      : method{m}, pattern{std::move(p)}, handler{std::move(h)}, options{std::move(o)} {}

  http_method method;
  std::string pattern;
  std::vector<std::string> parameter_names;  // in the order of the path
  http_handler handler;
  http_route_options options;
  std::optional<call_chain> chain;  // from `freeze` on
  route_stats head_stats;           // HEAD answered by a GET route
  route_stats stats;
};

class route_table {
 public:
  route_table();

  void use(http_middleware middleware) { around_all_.push_back(std::move(middleware)); }
  void add(http_method method, std::string_view pattern, http_handler handler, http_route_options options);

  /// Ties handlers and middleware together. Nothing is added afterwards. `log` outlives the table.
  void freeze(const log_sink& log);

  struct found {
    route_entry* entry{nullptr};  // nullptr: see `allowed`
    method_mask allowed{0};       // what the path answers; 0: there is no such path
  };

  /// Appends the path's parameters to `parameters` if a route is found.
  [[nodiscard]] found find(http_method method, const decoded_path& path, std::vector<http_parameter>& parameters) const;

  /// Answers what no route does: 404, 405, 501, OPTIONS. Its statistics are kept by method.
  [[nodiscard]] const call_chain& fallback() const noexcept { return *fallback_chain_; }
  [[nodiscard]] route_stats& fallback_stats(http_method method) const noexcept { return fallback_stats_[static_cast<std::size_t>(method)]; }

  /// What the table answers at all.
  [[nodiscard]] method_mask all_methods() const noexcept { return all_methods_; }
  [[nodiscard]] const std::vector<std::unique_ptr<route_entry>>& entries() const noexcept { return entries_; }

 private:
  struct node {
    std::map<std::string, std::unique_ptr<node>, std::less<>> fixed;
    std::unique_ptr<node> parameter;
    std::unique_ptr<node> rest;
    std::string parameter_name;  // of this node, if it is a parameter or a rest
    std::string named_by;        // the pattern that named it
    std::array<route_entry*, method_count> entries{};
  };
  struct search;

  [[nodiscard]] node& child_for(node& at, std::string_view segment, std::string_view pattern, route_entry& entry);

  node root_;
  std::vector<std::unique_ptr<route_entry>> entries_;
  std::vector<http_middleware> around_all_;
  http_handler fallback_handler_;
  std::optional<call_chain> fallback_chain_;
  mutable std::array<route_stats, method_count> fallback_stats_;
  method_mask all_methods_{0};
};

}  // namespace spillway::detail
