// SPDX-License-Identifier: Apache-2.0
/// @file
/// The rows of a range as parameters, one after the other.
#pragma once

#include <spillway/db/sql_value.hpp>

#include <array>
#include <concepts>
#include <cstddef>
#include <optional>
#include <ranges>
#include <span>
#include <tuple>
#include <type_traits>

namespace spillway::detail {

/// Gives the rows of a bulk statement one by one; null at the end. What is given stays valid until the next call.
class parameter_source {
 public:
  virtual const sql_parameters* next() = 0;

 protected:
  ~parameter_source() = default;
};

template <class Row>
inline constexpr std::size_t parameter_width{0};
template <class Row>
  requires requires { std::tuple_size<Row>::value; }
inline constexpr std::size_t parameter_width<Row>{std::tuple_size_v<Row>};

/// A row is a tuple, pair or array of values, or anything `sql_parameters` is made from.
template <std::ranges::input_range R>
class range_source final : public parameter_source {
 public:
  explicit range_source(R& range) : at_{std::ranges::begin(range)}, end_{std::ranges::end(range)} {}

  const sql_parameters* next() override {
    if (started_ && at_ != end_) ++at_;
    started_ = true;
    if (at_ == end_) return nullptr;
    if constexpr (std::is_lvalue_reference_v<reference>) {
      point_to(*at_);
    } else {
      point_to(made_.emplace(*at_));
    }
    return &current_;
  }

 private:
  using reference = std::ranges::range_reference_t<R>;
  using row_type = std::remove_cvref_t<reference>;

  void point_to(const row_type& row) {
    if constexpr (std::convertible_to<const row_type&, sql_parameters>) {
      current_ = sql_parameters{row};
    } else {
      values_ = std::apply([](const auto&... value) { return decltype(values_){sql_value(value)...}; }, row);
      current_ = sql_parameters{std::span<const sql_value>{values_}};
    }
  }

  std::ranges::iterator_t<R> at_;
  std::ranges::sentinel_t<R> end_;
  std::optional<row_type> made_;  // of a range that makes its elements as it goes
  std::array<sql_value, parameter_width<row_type>> values_;
  sql_parameters current_;
  bool started_{false};
};

}  // namespace spillway::detail
