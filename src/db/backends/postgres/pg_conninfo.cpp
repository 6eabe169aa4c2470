// SPDX-License-Identifier: Apache-2.0
#include "pg_conninfo.hpp"

#include "pg_error.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <libpq-fe.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdint>
#include <memory>

namespace spillway::detail {

namespace {

struct free_options {
  void operator()(PQconninfoOption* options) const noexcept { PQconninfoFree(options); }
};
struct free_text {
  void operator()(char* text) const noexcept { PQfreemem(text); }
};

/// What results are decoded by, and what a stream's cursor is planned for.
constexpr std::string_view session_settings{
    "-c standard_conforming_strings=on -c bytea_output=hex -c extra_float_digits=1 -c datestyle=ISO -c cursor_tuple_fraction=1"};

/// The text of the URL may hold a password, and libpq quotes it when it cannot read it.
std::string without_url(std::string said, std::string_view url) {
  for (auto at = said.find(url); !url.empty() && at != std::string::npos; at = said.find(url)) said.replace(at, url.size(), "...");
  return said;
}

/// A password with an @ or a / in it: libpq would take what follows for the host or the database without a word, and messages would name it.
bool is_torn(std::string_view url) {
  constexpr auto none = std::string_view::npos;
  auto rest = url.substr(url.find("://") + 3);
  const auto end = rest.find_first_of("@/");
  const bool has_user = end != none && rest[end] == '@';
  if (has_user) {
    // Rather a value behind the ? than a user with both in his password.
    const auto question = rest.find('?');
    if (question < end && rest.substr(question, end - question).find('=') != none) return true;
    rest.remove_prefix(end + 1);
  }
  const auto question = rest.find('?');
  const auto values = question == none ? std::string_view{} : rest.substr(question);
  rest = rest.substr(0, question);
  if (!has_user && !rest.empty() && rest.front() != '/' && values.find('@') != none) return true;
  const auto database = rest.find('/');
  return rest.find('@') != none || (database != none && rest.find('/', database + 1) != none);
}

bool is_port(std::string_view text) {
  std::uint16_t port{0};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  return error == std::errc{} && end == text.data() + text.size() && port > 0;
}

/// The database of a session for which none is named: as libpq finds it.
std::string default_database(const std::string* user) {
  const std::unique_ptr<PQconninfoOption, free_options> defaults{PQconndefaults()};
  std::string of_user;
  for (const auto* option = defaults.get(); option != nullptr && option->keyword != nullptr; ++option) {
    if (option->val == nullptr) continue;
    const std::string_view keyword{option->keyword};
    if (keyword == "dbname" && *option->val != '\0') return option->val;
    if (keyword == "user") of_user = option->val;
  }
  return user == nullptr || user->empty() ? of_user : *user;
}

/// libpq's complaint, without what it quotes: parts of the URL, the password perhaps.
std::string without_quotes(std::string_view said) {
  // The name of a parameter, which a URL that is not torn has behind its ?.
  if (said.starts_with("invalid URI query parameter: ")) return std::string{said};
  std::string kept;
  bool inside{false};
  for (const char c : said) {
    if (c == '"') {
      inside = !inside;
      if (inside) kept += "\"...\"";
    } else if (!inside) {
      kept += c;
    }
  }
  return kept;
}

}  // namespace

result<pg_conninfo, std::string> pg_conninfo::parse(std::string_view url, std::string_view application_name) {
  if (url.find('\0') != std::string_view::npos) return std::string{"it contains a NUL byte"};
  const bool is_url = url.starts_with("postgresql://") || url.starts_with("postgres://");
  if (is_url && is_torn(url)) {
    return std::string{"there is an @ or / too many in it: one that belongs to a user, password or database is written %40 or %2F"};
  }
  const std::string terminated{url};
  char* raw_complaint{nullptr};
  const std::unique_ptr<PQconninfoOption, free_options> options{PQconninfoParse(terminated.c_str(), &raw_complaint)};
  const std::unique_ptr<char, free_text> complaint{raw_complaint};
  if (!options) {
    const auto why = without_quotes(one_line(without_url(complaint ? complaint.get() : "out of memory", url)));
    return is_url ? why : fmt::format("it must be postgresql://user@host:port/database or a list of name=value: {}", why);
  }

  pg_conninfo made;
  for (const auto* option = options.get(); option->keyword != nullptr; ++option) {
    if (option->val != nullptr) made.settings_.emplace_back(option->keyword, option->val);
  }
  for (const auto* several : {"host", "hostaddr", "port"}) {
    if (const auto* value = made.find(several); value != nullptr && value->find(',') != std::string::npos) {
      return fmt::format("it names several servers in \"{}\"; one is taken", several);
    }
  }
  if (const auto* port = made.find("port"); port != nullptr && !port->empty() && !is_port(*port)) {
    return std::string{"the port is no number in [1, 65535]"};
  }
  constexpr std::array<std::string_view, 6> modes{"disable", "allow", "prefer", "require", "verify-ca", "verify-full"};
  if (const auto* mode = made.find("sslmode"); mode != nullptr && !mode->empty() && std::ranges::find(modes, *mode) == modes.end()) {
    return fmt::format("the sslmode is none of {}", fmt::join(modes, ", "));
  }
  if (made.find("service") != nullptr) return std::string{"it names a service; give host, port and database themselves"};
  made.set_default("application_name", application_name);
  made.set_default("client_encoding", "UTF8");
  made.set_default("gssencmode", "disable");
  // A server or network that is gone is found out within about half a minute, and at once while something is being sent.
  made.set_default("keepalives_idle", "10");
  made.set_default("keepalives_interval", "5");
  made.set_default("keepalives_count", "3");
  made.set_default("tcp_user_timeout", "10000");
  if (*made.find("client_encoding") != "UTF8") return std::string{"client_encoding must be UTF8"};

  const auto* const own = made.find("options");
  for (const auto kind : {session_kind::read, session_kind::write}) {
    made.options_[static_cast<std::size_t>(kind)] =
        fmt::format("{}{}{}{}", own == nullptr ? "" : *own, own == nullptr ? "" : " ", session_settings,
                    kind == session_kind::read ? " -c default_transaction_read_only=on" : "");
  }
  const auto text_of = [&made](std::string_view keyword, const char* otherwise) {
    const auto* value = made.find(keyword);
    return value == nullptr || value->empty() ? std::string{otherwise} : *value;
  };
  made.set_default("options", "");
  const auto host = text_of("host", made.find("hostaddr") == nullptr ? "localhost" : made.find("hostaddr")->c_str());
  made.where_ = fmt::format("{}:{}", host, text_of("port", "5432"));
  made.database_ = text_of("dbname", "");
  if (made.database_.empty()) made.database_ = default_database(made.find("user"));
  return made;
}

bool pg_conninfo::is_same_server(const pg_conninfo& other) const noexcept {
  const auto* mine = find("hostaddr");
  const auto* its = other.find("hostaddr");
  return where_ == other.where_ && (mine == nullptr) == (its == nullptr) && (mine == nullptr || *mine == *its);
}

const std::string* pg_conninfo::find(std::string_view keyword) const noexcept {
  const auto found = std::ranges::find(settings_, keyword, [](const auto& setting) { return std::string_view{setting.first}; });
  return found == settings_.end() ? nullptr : &found->second;
}

void pg_conninfo::set_default(std::string_view keyword, std::string_view value) {
  if (find(keyword) == nullptr) settings_.emplace_back(keyword, value);
}

std::vector<const char*> pg_conninfo::keywords() const {
  std::vector<const char*> list;
  for (const auto& setting : settings_) list.push_back(setting.first.c_str());
  list.push_back(nullptr);
  return list;
}

std::vector<const char*> pg_conninfo::values(session_kind kind) const {
  std::vector<const char*> list;
  for (const auto& setting : settings_) {
    list.push_back(setting.first == "options" ? options_[static_cast<std::size_t>(kind)].c_str() : setting.second.c_str());
  }
  list.push_back(nullptr);
  return list;
}

}  // namespace spillway::detail
