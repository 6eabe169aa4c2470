// SPDX-License-Identifier: Apache-2.0
/// @file
/// What a reader must at least see: the place of a commit in the database's log, as a value that travels.
#pragma once

#include <spillway/core/export.hpp>
#include <spillway/core/result.hpp>
#include <spillway/db/db_error.hpp>

#include <cstddef>
#include <cstdint>
#include <iosfwd>
#include <string>
#include <string_view>

namespace spillway {

/// The place of a commit: which database system, which of its timelines, and how far in its log. A read that is given the token sees that
/// commit and all before it, on whichever node it runs. Engines without replicas give empty tokens, which ask for nothing.
///
///     response.set_header("X-Consistency-Token", token.to_string());        // after a write
///     auto seen = consistency_token::parse(request.header("X-Consistency-Token"));
///     if (!seen) return bad_request(seen.error().what());
///
/// Of two tokens of one system the greater (timeline, position) stands for both. This holds across a failover: a new timeline begins where it
/// left the old one, so what lies beyond that place of the old one is lost, and everything before it lies before the new one too.
///
/// A token is not secret, nor is it signed: who forges one can make his own reads wait or go to the primary, within the router's limits.
///
/// Threads: a value; copy it. `merge` changes it, so one thread at a time.
/// Cost:    `to_string` allocates once; `parse` does not, unless it fails.
class SPILLWAY_EXPORT consistency_token {
 public:
  /// Nothing that `to_string` gives is longer.
  static constexpr std::size_t longest_text_bytes{54};

  /// Asks for nothing.
  consistency_token() noexcept = default;
  /// `primary_only`: the commit may lie beyond `position`, as with `synchronous_commit = off`; only the primary is sure to show it.
  /// Errors: throws std::invalid_argument if one of the numbers is 0.
  consistency_token(std::uint64_t system, std::uint32_t timeline, std::uint64_t position, bool primary_only = false);

  [[nodiscard]] bool empty() const noexcept { return timeline_ == 0; }
  [[nodiscard]] std::uint64_t system() const noexcept { return system_; }
  [[nodiscard]] std::uint32_t timeline() const noexcept { return timeline_; }
  [[nodiscard]] std::uint64_t position() const noexcept { return position_; }
  [[nodiscard]] bool primary_only() const noexcept { return primary_only_; }

  /// Letters, digits and '-' alone, so it can stand in a header, a cookie, an address or JSON as it is. An empty token is an empty text.
  [[nodiscard]] std::string to_string() const;

  /// Reads what `to_string` wrote, in exactly that form. Empty text is the empty token.
  /// Errors: db_errc::invalid_token, saying which part is wrong and what it may be; a text that was cut or mistyped fails its check.
  [[nodiscard]] static result<consistency_token, db_error> parse(std::string_view text);

  /// From now on stands for both. Once `primary_only`, it stays so: nobody knows where that commit lies.
  /// Errors: db_errc::foreign_token if the other is of another system; then nothing has changed.
  result<void, db_error> merge(const consistency_token& other);

  /// Who has seen what this one stands for has seen the other, too. False for tokens of different systems.
  [[nodiscard]] bool covers(const consistency_token& other) const noexcept;

  friend bool operator==(const consistency_token&, const consistency_token&) noexcept = default;
  /// Its text.
  friend SPILLWAY_EXPORT std::ostream& operator<<(std::ostream& out, const consistency_token& token);

 private:
  std::uint64_t system_{0};
  std::uint64_t position_{0};
  std::uint32_t timeline_{0};
  bool primary_only_{false};
};

}  // namespace spillway
