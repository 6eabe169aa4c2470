// SPDX-License-Identifier: Apache-2.0
/// @file
/// What a client asked for.
#pragma once

#include <spillway/core/clock.hpp>
#include <spillway/core/deadline.hpp>
#include <spillway/core/export.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <typeindex>
#include <utility>
#include <vector>

namespace spillway {

namespace detail {
class request_builder;
}

enum class http_method : std::uint8_t { get, head, post, put, patch, del, options, connect, trace, other };

/// "GET", "DELETE", ...; `_OTHER` for a method without a name here, as in metric labels.
[[nodiscard]] SPILLWAY_EXPORT std::string_view to_string(http_method method) noexcept;

struct http_header_view {
  std::string_view name;
  std::string_view value;  ///< Without white space around it.
};

/// A name and a value of the path or the query, percent-decoded.
struct http_parameter {
  std::string_view name;
  std::string_view value;
};

/// One request, complete with its body. The server makes it; handlers and middleware read it.
///
/// Threads:  one at a time.
/// Lifetime: all views live until the handler has returned, a coroutine handler until its `co_return`.
/// Errors:   members do not throw unless they say so.
class SPILLWAY_EXPORT http_request {
 public:
  http_request(const http_request&) = delete;
  http_request& operator=(const http_request&) = delete;

  [[nodiscard]] http_method method() const noexcept { return method_; }
  /// As sent; tells apart what `http_method::other` does not.
  [[nodiscard]] std::string_view method_name() const noexcept { return method_name_; }

  /// Path and query as sent.
  [[nodiscard]] std::string_view target() const noexcept { return target_; }
  /// Percent-decoded. To route or to name files use `parameter`: an encoded slash is not told apart here.
  [[nodiscard]] std::string_view path() const noexcept { return path_; }
  /// From the Host header, or from the target where that names one. With the port, as sent.
  [[nodiscard]] std::string_view host() const noexcept { return host_; }

  /// The part of the path that stands for `{name}` in the pattern. It may hold slashes that were sent encoded, but between slashes never a
  /// `.` or `..`; a rest never begins with a slash.
  /// Errors: std::out_of_range if the route's pattern has no such parameter.
  [[nodiscard]] std::string_view parameter(std::string_view name) const;

  /// The first of that name in the query. `?flag` has the value "".
  [[nodiscard]] std::optional<std::string_view> query(std::string_view name) const noexcept;
  [[nodiscard]] std::span<const http_parameter> query_parameters() const noexcept { return query_; }

  /// The first of that name, in any case of letters.
  [[nodiscard]] std::optional<std::string_view> header(std::string_view name) const noexcept;
  [[nodiscard]] std::span<const http_header_view> headers() const noexcept { return headers_; }

  [[nodiscard]] std::string_view body() const noexcept { return body_; }

  /// The pattern that matched, such as `/v1/projects/{id}`; empty if none did.
  [[nodiscard]] std::string_view route() const noexcept { return route_; }
  /// What the client sent as X-Request-Id if it was sane, else 32 hexadecimal digits. At most 64 characters, never empty.
  [[nodiscard]] std::string_view request_id() const noexcept { return {request_id_.data(), request_id_size_}; }
  /// The address of the other end of the connection, without the port.
  [[nodiscard]] std::string_view peer() const noexcept { return peer_; }
  /// When its first byte was read.
  [[nodiscard]] time_point started() const noexcept { return started_; }
  /// By when the answer is wanted: to be handed down to everything done for it.
  [[nodiscard]] deadline until() const noexcept { return until_; }

  /// Leaves a value for later middleware and the handler; one of each type, the newer replaces the older.
  /// Errors: std::bad_alloc, and what moving `T` throws.
  template <class T>
  T& attach(T value) {
    auto kept = std::make_shared<T>(std::move(value));
    auto& reference = *kept;
    keep(typeid(T), std::move(kept));
    return reference;
  }

  /// What was attached, or nullptr.
  template <class T>
  [[nodiscard]] T* attachment() const noexcept {
    return static_cast<T*>(find(typeid(T)));
  }

 private:
  friend class detail::request_builder;
  http_request() = default;

  void keep(std::type_index type, std::shared_ptr<void> value);
  [[nodiscard]] void* find(std::type_index type) const noexcept;

  http_method method_{http_method::other};
  std::uint8_t request_id_size_{0};
  std::uint16_t allowed_{0};  // methods that the path answers, one bit each, if this one is not among them
  std::array<char, 64> request_id_{};
  std::string_view method_name_;
  std::string_view target_;
  std::string_view path_;
  std::string_view host_;
  std::string_view route_;
  std::string_view peer_;
  time_point started_;
  deadline until_;
  std::vector<http_header_view> headers_;
  std::vector<http_parameter> parameters_;
  std::vector<http_parameter> query_;
  std::string decoded_;       // what path, parameters and query view if they had escapes; reserved before, so views hold
  std::string_view body_;
  std::string body_storage_;  // what body_ views unless it is still in the connection's buffer
  std::vector<std::pair<std::type_index, std::shared_ptr<void>>> attachments_;
};

}  // namespace spillway
