// SPDX-License-Identifier: Apache-2.0
#include <spillway/db/sql_query.hpp>

#include <cstring>
#include <variant>

namespace spillway {

namespace {

std::span<const std::byte> bytes_of(const sql_value& value) noexcept {
  if (const auto* text = std::get_if<std::string_view>(&value.get())) return std::as_bytes(std::span{text->data(), text->size()});
  if (const auto* blob = std::get_if<std::span<const std::byte>>(&value.get())) return *blob;
  return {};
}

}  // namespace

void sql_query::keep(std::string_view sql, std::span<const sql_value> values) {
  auto made = std::make_shared<held>();
  made->sql = sql;
  std::size_t size{0};
  for (const auto& value : values) size += bytes_of(value).size();
  made->bytes.resize(size);
  made->values.reserve(values.size());
  auto* at = made->bytes.data();
  for (const auto& value : values) {
    const auto bytes = bytes_of(value);
    if (!bytes.empty()) std::memcpy(at, bytes.data(), bytes.size());
    switch (value.type()) {
      case sql_type::text: made->values.emplace_back(std::string_view{at, bytes.size()}); break;
      case sql_type::blob: made->values.emplace_back(std::as_bytes(std::span<const char>{at, bytes.size()})); break;
      default: made->values.push_back(value); break;
    }
    at += bytes.size();
  }
  held_ = std::move(made);
}

}  // namespace spillway
