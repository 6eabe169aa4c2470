// SPDX-License-Identifier: Apache-2.0
#include <spillway/pool/pool_error.hpp>

#include <fmt/format.h>

#include <array>
#include <ostream>
#include <utility>

namespace spillway {

namespace {

double milliseconds(std::chrono::nanoseconds duration) { return std::chrono::duration<double, std::milli>{duration}.count(); }

}  // namespace

std::string_view to_string(pool_errc code) noexcept {
  constexpr std::array<std::string_view, pool_errc_count + 1> names{"none",         "exhausted", "queue_full",   "timed_out",
                                                                    "backend_down", "cancelled", "shutting_down"};
  const auto value = static_cast<std::size_t>(code);
  return value < names.size() ? names[value] : "unknown";
}

std::string_view to_string(pool_wait_cause cause) noexcept {
  constexpr std::array<std::string_view, pool_wait_cause_count> names{"none", "queue", "connecting", "backend", "validation", "leak", "budget",
                                                                          "nested"};
  const auto value = static_cast<std::size_t>(cause);
  return value < names.size() ? names[value] : "unknown";
}

std::string to_string(const pool_holder& holder) {
  std::string_view file{holder.where.file_name()};
  file.remove_prefix(file.find_last_of('/') + 1);
  const std::string_view label{holder.label};
  return fmt::format("{}:{}{}{}{} for {:.3f} s", file, holder.where.line(), label.empty() ? "" : " \"", label, label.empty() ? "" : "\"",
                     std::chrono::duration<double>{holder.age}.count());
}

const boost::system::error_category& pool_category() noexcept {
  static constexpr std::array<error_entry, pool_errc_count> entries{{
      {static_cast<int>(pool_errc::exhausted), "nothing is free", errc::overloaded},
      {static_cast<int>(pool_errc::queue_full), "too many callers wait", errc::overloaded},
      {static_cast<int>(pool_errc::timed_out), "nothing became free in time", errc::timed_out},
      {static_cast<int>(pool_errc::backend_down), "nothing can be opened", errc::unavailable},
      {static_cast<int>(pool_errc::cancelled), "cancelled", errc::cancelled},
      {static_cast<int>(pool_errc::shutting_down), "the pool is draining", errc::shutting_down},
  }};
  static const auto& category = make_error_category("spillway.pool", 0x7350'696c'0000'0003U, entries);
  return category;
}

pool_error::pool_error(pool_errc code, details more) : code_{code}, details_{std::make_shared<const details>(std::move(more))} {}

pool_wait_cause pool_error::cause() const noexcept { return details_ ? details_->cause : pool_wait_cause::none; }
error_code pool_error::reason() const noexcept { return details_ ? details_->reason : error_code{}; }
std::string_view pool_error::reason_text() const noexcept { return details_ ? std::string_view{details_->reason_text} : std::string_view{}; }
std::chrono::nanoseconds pool_error::next_try() const noexcept { return details_ ? details_->next_try : std::chrono::nanoseconds{0}; }
std::span<const pool_holder> pool_error::holders() const noexcept {
  return details_ ? std::span<const pool_holder>{details_->holders} : std::span<const pool_holder>{};
}

std::string pool_error::what() const {
  if (!failed()) return "no failure";
  std::string text = code_.message();
  if (!details_) return text;
  const auto& more = *details_;
  if (more.waited.count() > 0) text += fmt::format(" after {:.1f} ms", milliseconds(more.waited));
  text += fmt::format(" (cause: {}): {} lent of at most {}, {} open, {} being opened, {} others waiting", to_string(more.cause), more.lent, more.most, more.open,
                      more.opening, more.waiting);
  if (more.lost > 0) text += fmt::format(", {} hang", more.lost);
  if (more.reason.failed()) {
    text += fmt::format("; opening failed: {}", more.reason.message());
    if (!more.reason_text.empty()) text += fmt::format(": {}", more.reason_text);
    text += fmt::format("; next try in {:.0f} ms", milliseconds(more.next_try));
  }
  std::string_view separator{"; lent longest: "};
  for (const auto& holder : more.holders) {
    text.append(separator).append(to_string(holder));
    separator = ", ";
  }
  return text;
}

std::ostream& operator<<(std::ostream& out, const pool_error& error) { return out << error.what(); }

pool_exception::pool_exception(pool_error error) : boost::system::system_error{error.code(), error.what()}, error_{std::move(error)} {}
pool_exception::~pool_exception() = default;

void throw_exception_from_error(const pool_error& error, const boost::source_location&) { throw pool_exception{error}; }

}  // namespace spillway
