// SPDX-License-Identifier: Apache-2.0
#include "layers/layer_rule.hpp"

#include <algorithm>
#include <array>
#include <optional>

namespace spillway::testing {
namespace {

struct module_level {
  std::string_view name;
  int level;
};

// A new module is one line here. The test kit stands beside the levels: it may use all of them, and none may use it.
constexpr int outside = 99;
constexpr int backend_level = 2;
constexpr std::array levels{
    module_level{"core", 0},     module_level{"rate_limit", 1}, module_level{"resilience", 1}, module_level{"cache", 1},
    module_level{"pool", 1},     module_level{"jobs", 1},       module_level{"balance", 1},    module_level{"health", 1},
    module_level{"metrics", 1},  module_level{"db", 2},         module_level{"redis", 2},      module_level{"security", 2},
    module_level{"telemetry", 2}, module_level{"messaging", 2}, module_level{"http", 3},       module_level{"testing", outside}};

struct engine {
  std::string_view header;  ///< What its includes begin with.
  std::string_view place;   ///< Where it may be included: a folder, `backends/<name>/` of any module, "src/", or nowhere.
  std::string_view lease{};  ///< The one public header that may: it lends the engine's own object.
};

constexpr std::array engines{engine{"sqlite3", "backends/sqlite/"},    engine{"pqxx/", "backends/postgres/", "include/spillway/db/pqxx_lease.hpp"},
                             engine{"libpq", "backends/postgres/"},    engine{"hiredis/", "src/redis/"},
                             engine{"prometheus/", "src/metrics/"},    engine{"boost/beast", "src/http/"},
                             engine{"zlib.h", "src/http/"},            engine{"brotli/", "src/http/"},
                             engine{"rabbitmq-c/", "src/messaging/"},  engine{"amqp", "src/messaging/"},
                             engine{"openssl/", "src/"},               engine{"xxhash.h", "src/"},
                             engine{"boost/asio/impl/src", "src/core/"}, engine{"boost/asio.hpp", ""},
                             engine{"boost/asio/ssl", "src/"},         engine{"fmt/", "src/"},
                             engine{"spdlog/", ""},                    engine{"CLI/", ""},
                             engine{"doctest/", ""},                   engine{"benchmark/", ""}};

std::optional<int> level_of(std::string_view module) {
  const auto* const found = std::find_if(levels.begin(), levels.end(), [&](const auto& entry) { return entry.name == module; });
  if (found == levels.end()) return std::nullopt;
  return found->level;
}

std::string_view first_part(std::string_view path) { return path.substr(0, path.find('/')); }

struct place {
  std::string file;
  std::string_view module;
  int level;
  bool is_public;
  bool is_backend;
};

std::string level_text(const place& from, std::string_view module, int level) {
  return "'" + std::string{from.module} + "' stands on level " + std::to_string(from.level) + (from.is_backend ? " (backend)" : "") +
         " and '" + std::string{module} + "' on level " + std::to_string(level) + "; includes only go down";
}

/// Why the module at `from` may not include `target`, a public header of `module`.
std::string refuse_module(const place& from, std::string_view module) {
  const auto level = level_of(module);
  if (!level) return "'" + std::string{module} + "' is not in the table of modules";
  if (module == from.module || from.level == outside) return {};
  if (*level == outside) return "the test kit is for tests";
  if (*level < from.level || (from.is_backend && *level <= backend_level)) return {};
  return level_text(from, module, *level);
}

std::string refuse_engine(const place& from, std::string_view target) {
  for (const auto& each : engines) {
    if (!target.starts_with(each.header)) continue;
    if (!each.lease.empty() && from.file == each.lease) return {};
    if (each.place.empty()) return "belongs into programs and tests, not into the library";
    const bool allowed = each.place.starts_with("backends/")
                             ? !from.is_public && from.file.find("/" + std::string{each.place}) != std::string::npos
                             : from.file.starts_with(each.place) ||
                                   (each.header == "hiredis/" && from.file.find("/backends/redis/") != std::string::npos);
    if (!allowed) return "allowed in " + std::string{each.place} + " alone";
    return {};
  }
  return {};
}

std::string refuse(const place& from, std::string_view target) {
  if (target.starts_with("../") || target.find("/../") != std::string_view::npos) {
    const auto path = (std::filesystem::path{from.file}.parent_path() / target).lexically_normal().generic_string();
    if (path.starts_with("include/")) return refuse(from, std::string_view{path}.substr(8));
    if (path.starts_with("src/")) return refuse(from, std::string_view{path}.substr(4));
    return "leaves the tree";
  }
  if (target.starts_with("spillway/")) return refuse_module(from, first_part(target.substr(9)));
  if (const auto owner = first_part(target); owner != target && level_of(owner)) {
    if (from.is_public) return "a public header may not include a private one";
    if (owner != from.module && from.level != outside) return "private to the module '" + std::string{owner} + "'";
  }
  return refuse_engine(from, target);
}

/// The path named by an #include, and nothing for other lines.
std::string_view included(std::string_view code_line, std::string_view line) {
  auto code = trimmed(code_line);
  if (!code.starts_with('#')) return {};
  code = trimmed(code.substr(1));
  if (!code.starts_with("include")) return {};
  const auto open = line.find_first_of("<\"");
  if (open == std::string_view::npos) return {};
  const auto close = line.find(line[open] == '<' ? '>' : '"', open + 1);
  return close == std::string_view::npos ? std::string_view{} : line.substr(open + 1, close - open - 1);
}

}  // namespace

std::vector<finding> check_layers(const std::filesystem::path& root) {
  std::vector<finding> findings;
  for (const auto& path : files_below(root, {"include/spillway", "src"})) {
    if (path.extension() != ".hpp" && path.extension() != ".cpp") continue;
    const std::string file = path.generic_string();
    const bool is_public = file.starts_with("include/spillway/");
    const auto below = std::string_view{file}.substr(is_public ? 17 : 4);
    const auto module = first_part(below);
    const auto level = level_of(module);
    if (!level || module == below) {
      findings.push_back({file, 1, std::string{module}, "not in the table of modules (tests/layers/layer_rule.cpp)"});
      continue;
    }
    const bool is_backend = below.substr(module.size()).starts_with("/backends/");
    const place from{file, module, is_backend ? std::max(*level, backend_level) : *level, is_public, is_backend};
    const auto source = read_text(root / path);
    const auto lines = lines_of(source);
    const auto code = lines_of(code_only(source));
    for (std::size_t i = 0; i < lines.size(); ++i) {
      const auto target = included(code[i], lines[i]);
      if (target.empty()) continue;
      if (auto why = refuse(from, target); !why.empty()) findings.push_back({file, i + 1, std::string{trimmed(lines[i])}, std::move(why)});
    }
  }
  return findings;
}

}  // namespace spillway::testing
