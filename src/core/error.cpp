// SPDX-License-Identifier: Apache-2.0
#include <spillway/core/core_error.hpp>

#include <algorithm>
#include <string>

namespace spillway {

namespace {

constexpr std::uint64_t condition_category_id{0x7350'696c'0000'0001U};

class condition_category_impl final : public boost::system::error_category {
 public:
  constexpr condition_category_impl() noexcept : error_category{condition_category_id} {}

  const char* name() const noexcept override { return "spillway"; }

  std::string message(int value) const override {
    switch (static_cast<errc>(value)) {
      case errc::overloaded: return "overloaded";
      case errc::timed_out: return "timed out";
      case errc::unavailable: return "unavailable";
      case errc::shutting_down: return "shutting down";
      case errc::cancelled: return "cancelled";
      case errc::invalid: return "invalid request";
      case errc::not_found: return "not found";
      case errc::conflict: return "conflict";
      case errc::permission_denied: return "permission denied";
      case errc::internal: return "internal error";
    }
    return "unknown condition";
  }
};

/// The codes of one module, looked up in its table.
class table_category final : public boost::system::error_category {
 public:
  table_category(const char* name, std::uint64_t id, std::span<const error_entry> entries) noexcept
      : error_category{id}, name_{name}, entries_{entries} {}

  const char* name() const noexcept override { return name_; }

  std::string message(int value) const override {
    const auto entry = std::ranges::find(entries_, value, &error_entry::value);
    return entry == entries_.end() ? "unknown code " + std::to_string(value) : std::string{entry->message};
  }

  error_condition default_error_condition(int value) const noexcept override {
    const auto entry = std::ranges::find(entries_, value, &error_entry::value);
    return entry == entries_.end() ? error_condition{value, *this} : make_error_condition(entry->condition);
  }

 private:
  const char* name_;
  std::span<const error_entry> entries_;
};

}  // namespace

const boost::system::error_category& condition_category() noexcept {
  static const condition_category_impl category;
  return category;
}

const boost::system::error_category& core_category() noexcept {
  static constexpr error_entry entries[]{{1, "malformed value", errc::invalid}};
  static const auto& category = make_error_category("spillway.core", 0x7350'696c'0000'0002U, entries);
  return category;
}

const boost::system::error_category& make_error_category(const char* name, std::uint64_t id,
                                                         std::span<const error_entry> entries) {
  return *new table_category{name, id, entries};
}

}  // namespace spillway
