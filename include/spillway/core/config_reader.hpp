// SPDX-License-Identifier: Apache-2.0
/// @file
/// Fills plain configuration structs from environment variables and a JSON file.
#pragma once

#include <spillway/core/export.hpp>

#include <chrono>
#include <concepts>
#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace spillway {

/// Thrown once with every mistake found, one a line; each names where the value came from, the value, and what is allowed.
class SPILLWAY_EXPORT config_error : public std::invalid_argument {
 public:
  explicit config_error(std::vector<std::string> problems);
  ~config_error() override;
  [[nodiscard]] const std::vector<std::string>& problems() const noexcept { return problems_; }

 private:
  std::vector<std::string> problems_;
};

/// Where the values come from. An environment variable wins over the file, the file over the struct's default.
struct config_sources {
  /// Variables that belong to the program begin with this. The key `http.idle_timeout` is the variable SPILLWAY_HTTP_IDLE_TIMEOUT.
  std::string prefix{"SPILLWAY_"};
  /// A JSON object, nested by the dots of the keys; comments and trailing commas are allowed. Empty: no file.
  std::string file;
  /// The environment as NAME=VALUE. Defaults to that of the process; a test passes its own.
  std::optional<std::vector<std::string>> environment;
};

/// Reads keys into variables, remembers what went wrong, and reports all of it at once.
///
///     config_reader read{{.file = path}};
///     read("http.port", http.port, 0, 65'535);
///     read("http.idle_timeout", http.idle_timeout, 1s, 1h);
///     read.finish();     // throws config_error, also for keys nobody read
///
/// Durations are written `250ms`, `30s`, `5m`, `2h`, `1d` (or `us`, `ns`); sizes in bytes `64KiB`, `2MiB`, `1GiB`, or plain digits; booleans
/// `true`, `false`, `1`, `0`, `on`, `off`. A variable named like a key with `_FILE` at its end gives a file whose content is the value, for
/// secrets.
///
/// Threads: one at a time.
/// Errors:  the constructor throws config_error if the file cannot be read, is not JSON, or is larger than 1 MiB.
class SPILLWAY_EXPORT config_reader {
 public:
  explicit config_reader(const config_sources& sources = {});
  ~config_reader();
  config_reader(const config_reader&) = delete;
  config_reader& operator=(const config_reader&) = delete;

  /// Whole numbers in [least, most].
  template <std::integral T>
    requires(!std::same_as<T, bool>)
  void operator()(std::string_view key, T& value, std::type_identity_t<T> least = std::numeric_limits<T>::min(),
                  std::type_identity_t<T> most = std::numeric_limits<T>::max()) {
    static_assert(sizeof(T) <= 8);
    if constexpr (std::unsigned_integral<T>) {
      if (const auto read = read_unsigned(key, least, most)) value = static_cast<T>(*read);
    } else {
      if (const auto read = read_signed(key, least, most)) value = static_cast<T>(*read);
    }
  }

  /// Durations in [least, most], kept to the unit of `value`.
  template <class Rep, class Period>
  void operator()(std::string_view key, std::chrono::duration<Rep, Period>& value,
                  std::type_identity_t<std::chrono::duration<Rep, Period>> least,
                  std::type_identity_t<std::chrono::duration<Rep, Period>> most) {
    using duration = std::chrono::duration<Rep, Period>;
    if (const auto read = read_duration(key, least, most)) value = std::chrono::duration_cast<duration>(*read);
  }

  void operator()(std::string_view key, double& value, double least, double most);
  void operator()(std::string_view key, bool& value);
  /// Any text; it never appears in messages, so it may be a secret.
  void operator()(std::string_view key, std::string& value);

  /// Text that `valid` accepts; the message says `allowed`, and the text: not for secrets.
  void text(std::string_view key, std::string& value, const std::function<bool(const std::string&)>& valid, std::string_view allowed);

  /// A number of bytes in [least, most].
  void bytes(std::string_view key, std::uint64_t& value, std::uint64_t least, std::uint64_t most);

  /// One of the given names; `value` becomes what stands beside it.
  template <class T>
  void choice(std::string_view key, T& value, std::initializer_list<std::pair<std::string_view, T>> allowed) {
    std::vector<std::string_view> names;
    for (const auto& entry : allowed) names.push_back(entry.first);
    if (const auto index = read_choice(key, names)) value = (allowed.begin() + *index)->second;
  }

  /// Adds a problem the caller found, such as two values that contradict each other.
  void problem(std::string text);

  /// Throws config_error if anything was wrong: values, or a variable with the prefix or a key of the file that was never asked for, with the
  /// nearest known name.
  void finish();

 private:
  struct impl;

  std::optional<std::uint64_t> read_unsigned(std::string_view key, std::uint64_t least, std::uint64_t most);
  std::optional<std::int64_t> read_signed(std::string_view key, std::int64_t least, std::int64_t most);
  std::optional<std::chrono::nanoseconds> read_duration(std::string_view key, std::chrono::nanoseconds least,
                                                        std::chrono::nanoseconds most);
  std::optional<std::ptrdiff_t> read_choice(std::string_view key, std::span<const std::string_view> names);

  std::unique_ptr<impl> impl_;
};

}  // namespace spillway
