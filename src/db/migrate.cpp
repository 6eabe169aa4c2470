// SPDX-License-Identifier: Apache-2.0
#include <spillway/db/migrate.hpp>

#include "session_context.hpp"

#include <fmt/format.h>

#include <cstdint>
#include <string>

namespace spillway {

namespace {

/// FNV-1a, 64 bits: tells an edited script from the one that was run. No defence against malice.
std::string checksum(std::string_view script) {
  std::uint64_t hash{0xcbf2'9ce4'8422'2325U};
  for (const char byte : script) {
    hash ^= static_cast<unsigned char>(byte);
    hash *= 0x0000'0100'0000'01b3U;
  }
  return fmt::format("{:016x}", hash);
}

result<std::size_t, db_error> migrate_in(write_session& session, std::span<const std::string_view> scripts) {
  auto& connection = detail::session_context::of(session).connection();
  if (const auto locked = connection.lock_schema(); !locked) return locked.error();
  const auto created = session.execute(
      "CREATE TABLE IF NOT EXISTS spillway_migration (number BIGINT PRIMARY KEY, checksum TEXT NOT NULL, "
      "applied_at TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP)");
  if (!created) return created.error();
  const auto applied = session.query("SELECT number, checksum FROM spillway_migration ORDER BY number");
  if (!applied) return applied.error();

  std::size_t known{0};
  for (const auto row : *applied) {
    ++known;
    const auto number = row.get<std::int64_t>("number");
    if (number > static_cast<std::int64_t>(scripts.size())) {
      const auto newest = (*applied)[applied->size() - 1].get<std::int64_t>("number");
      return db_error{db_errc::incompatible_schema, fmt::format("the database is at migration {}, this program knows {}: it is older than "
                                                                "the database", newest, scripts.size())};
    }
    if (number != static_cast<std::int64_t>(known)) {
      return db_error{db_errc::incompatible_schema, fmt::format("migration {} is missing from the database, which has {}", known, number)};
    }
    if (row.get<std::string_view>("checksum") != checksum(scripts[known - 1])) {
      return db_error{db_errc::incompatible_schema,
                      fmt::format("migration {} was changed after it had been run: append a new one instead", known)};
    }
  }
  for (auto number = known + 1; number <= scripts.size(); ++number) {
    const auto script = scripts[number - 1];
    if (const auto ran = session.execute_script(script); !ran) return ran.error().prefixed(fmt::format("migration {}: ", number));
    const auto noted = session.execute("INSERT INTO spillway_migration (number, checksum) VALUES ($1, $2)", number, checksum(script));
    if (!noted) return noted.error();
  }
  const auto ran = scripts.size() - known;
  if (ran > 0) {
    if (const auto shown = connection.note_schema_version(scripts.size()); !shown) return shown.error();
  }
  return ran;
}

}  // namespace

result<std::size_t, db_error> migrate(database& db, std::span<const std::string_view> scripts, const session_options& options) {
  auto by_itself = options;
  by_itself.alone = true;  // it may take long
  return db.write([&](write_session& session) { return migrate_in(session, scripts); }, by_itself);
}

}  // namespace spillway
