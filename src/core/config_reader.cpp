// SPDX-License-Identifier: Apache-2.0
#include <spillway/core/config_reader.hpp>

#include "core/config_value.hpp"

#include <boost/json.hpp>

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <map>

namespace spillway {

namespace {

constexpr std::size_t largest_file_bytes{1U << 20U};

std::string joined(const std::vector<std::string>& problems) {
  std::string text{"configuration"};
  for (const auto& problem : problems) text.append(problems.size() == 1 ? ": " : "\n  ").append(problem);
  return text;
}

/// `http.idle_timeout` to `HTTP_IDLE_TIMEOUT`.
std::string variable_of(std::string_view key) {
  std::string name{key};
  for (char& c : name) {
    if (c == '.') c = '_';
    if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 'a' + 'A');
  }
  return name;
}

/// A whole file of bounded size. Throws config_error.
std::string content_of(const std::string& path) {
  std::ifstream in{path, std::ios::binary};
  if (!in) throw config_error{std::vector<std::string>{path + ": cannot be opened"}};
  std::string content(largest_file_bytes + 1, '\0');
  in.read(content.data(), static_cast<std::streamsize>(content.size()));
  if (in.bad()) throw config_error{std::vector<std::string>{path + ": cannot be read"}};
  content.resize(static_cast<std::size_t>(in.gcount()));
  if (content.size() > largest_file_bytes) throw config_error{std::vector<std::string>{path + ": larger than 1 MiB"}};
  return content;
}

std::vector<std::string> process_environment() {
  std::vector<std::string> lines;
  for (char** entry = ::environ; entry != nullptr && *entry != nullptr; ++entry) lines.emplace_back(*entry);
  return lines;
}

}  // namespace

config_error::config_error(std::vector<std::string> problems)
    : std::invalid_argument{joined(problems)}, problems_{std::move(problems)} {}
config_error::~config_error() = default;

struct config_reader::impl {
  struct found_value {
    std::string text;
    std::string origin;  ///< The variable, or the file and the key.
    bool list;           ///< A JSON list, its elements with commas between them.
  };
  struct file_value {
    std::string text;
    bool list;
  };

  void load_environment(const std::vector<std::string>& lines) {
    for (const auto& line : lines) {
      const auto split = line.find('=');
      if (split == std::string::npos || !line.starts_with(prefix)) continue;
      variables[line.substr(0, split)] = line.substr(split + 1);
    }
  }

  void load_file(const std::string& path) {
    file = path;
    boost::json::parse_options options;
    options.allow_comments = true;
    options.allow_trailing_commas = true;
    options.max_depth = 16;
    boost::system::error_code failure;
    const auto document = boost::json::parse(content_of(path), failure, {}, options);
    if (failure) throw config_error{std::vector<std::string>{fmt::format("{}: not valid JSON: {}", path, failure.message())}};
    if (!document.is_object()) throw config_error{std::vector<std::string>{path + ": the document is not a JSON object"}};
    flatten(document.get_object(), "");
  }

  void flatten(const boost::json::object& object, const std::string& above) {
    for (const auto& member : object) {
      const std::string key = above + std::string{member.key()};
      if (member.value().is_object()) {
        flatten(member.value().get_object(), key + ".");
      } else if (auto text = text_of(member.value())) {
        file_values.insert_or_assign(key, file_value{std::move(*text), member.value().is_array()});
      } else {
        problems.push_back(fmt::format("{}: {} is {}; allowed: text, a number, true, false, or a list of those", file, key,
                                       boost::json::serialize(member.value())));
      }
    }
  }

  /// A scalar as text; a list of scalars with commas between them.
  static std::optional<std::string> text_of(const boost::json::value& value) {
    if (const auto* text = value.if_string()) return std::string{*text};
    if (value.is_number() || value.is_bool()) return boost::json::serialize(value);
    if (const auto* list = value.if_array()) {
      std::string all;
      for (const auto& element : *list) {
        const auto text = element.is_array() ? std::nullopt : text_of(element);
        if (!text) return std::nullopt;
        if (&element != &list->front()) all += ',';
        all += *text;
      }
      return all;
    }
    return std::nullopt;
  }

  std::optional<found_value> find(std::string_view key) {
    known.emplace_back(key);
    const auto variable = prefix + variable_of(key);
    if (const auto direct = variables.find(variable); direct != variables.end()) {
      return found_value{direct->second, variable, false};
    }
    if (const auto by_file = variables.find(variable + "_FILE"); by_file != variables.end()) {
      try {
        auto text = content_of(by_file->second);
        while (!text.empty() && (text.back() == '\n' || text.back() == '\r')) text.pop_back();
        return found_value{std::move(text), variable + "_FILE", false};
      } catch (const config_error& failure) {
        problems.push_back(fmt::format("{}_FILE is {}", variable, failure.problems().front()));
        return std::nullopt;
      }
    }
    if (const auto in_file = file_values.find(key); in_file != file_values.end()) {
      return found_value{in_file->second.text, fmt::format("{}: {}", file, key), in_file->second.list};
    }
    return std::nullopt;
  }

  void refuse(const found_value& value, std::string_view allowed) {
    problems.push_back(fmt::format("{} is {}'{}'; allowed: {}", value.origin, value.list ? "a list, " : "", value.text, allowed));
  }

  /// The value of `key` if it is there, can be parsed, and is in [least, most].
  template <class T, class Parse>
  std::optional<T> read(std::string_view key, Parse parse, T least, T most, std::string_view allowed) {
    const auto found = find(key);
    if (!found) return std::nullopt;
    const std::optional<T> value = found->list ? std::nullopt : parse(found->text);
    if (!value || *value < least || *value > most) {
      refuse(*found, allowed);
      return std::nullopt;
    }
    return value;
  }

  /// Names the program did not ask for, with the nearest it did.
  void report_unknown() {
    std::vector<std::string> known_variables;
    for (const auto& key : known) {
      known_variables.push_back(prefix + variable_of(key));
      known_variables.push_back(known_variables.back() + "_FILE");
    }
    const auto report = [&](const std::string& where, const std::string& name, const std::vector<std::string>& names) {
      if (std::ranges::find(names, name) != names.end()) return;
      const auto nearest = detail::nearest_name(name, names);
      problems.push_back(fmt::format("{}{} is unknown{}", where, name, nearest ? fmt::format("; did you mean {}?", *nearest) : ""));
    };
    for (const auto& [name, text] : variables) report("", name, known_variables);
    for (const auto& [key, value] : file_values) report(file + ": ", key, known);
  }

  std::string prefix;
  std::string file;
  std::map<std::string, std::string, std::less<>> variables;
  std::map<std::string, file_value, std::less<>> file_values;
  std::vector<std::string> known;
  std::vector<std::string> problems;
};

config_reader::config_reader(const config_sources& sources) : impl_{std::make_unique<impl>()} {
  impl_->prefix = sources.prefix;
  impl_->load_environment(sources.environment ? *sources.environment : process_environment());
  if (!sources.file.empty()) impl_->load_file(sources.file);
}
config_reader::~config_reader() = default;

std::optional<std::uint64_t> config_reader::read_unsigned(std::string_view key, std::uint64_t least, std::uint64_t most) {
  return impl_->read<std::uint64_t>(key, detail::parse_unsigned, least, most,
                                    fmt::format("a whole number in [{}, {}]", least, most));
}

std::optional<std::int64_t> config_reader::read_signed(std::string_view key, std::int64_t least, std::int64_t most) {
  return impl_->read<std::int64_t>(key, detail::parse_signed, least, most,
                                   fmt::format("a whole number in [{}, {}]", least, most));
}

std::optional<std::chrono::nanoseconds> config_reader::read_duration(std::string_view key, std::chrono::nanoseconds least,
                                                                     std::chrono::nanoseconds most) {
  return impl_->read<std::chrono::nanoseconds>(
      key, detail::parse_duration, least, most,
      fmt::format("a duration such as 250ms or 30s in [{}, {}]", detail::duration_text(least), detail::duration_text(most)));
}

std::optional<std::ptrdiff_t> config_reader::read_choice(std::string_view key, std::span<const std::string_view> names) {
  const auto found = impl_->find(key);
  if (!found) return std::nullopt;
  const auto match = std::ranges::find(names, std::string_view{found->text});
  if (found->list || match == names.end()) {
    impl_->refuse(*found, fmt::format("{}", fmt::join(names, ", ")));
    return std::nullopt;
  }
  return match - names.begin();
}

void config_reader::operator()(std::string_view key, double& value, double least, double most) {
  const auto read = impl_->read<double>(key, detail::parse_double, least, most, fmt::format("a number in [{}, {}]", least, most));
  if (read) value = *read;
}

void config_reader::operator()(std::string_view key, bool& value) {
  const auto read = impl_->read<bool>(key, detail::parse_bool, false, true, "true, false, 1, 0, on or off");
  if (read) value = *read;
}

void config_reader::operator()(std::string_view key, std::string& value) {
  if (auto found = impl_->find(key)) value = std::move(found->text);
}

void config_reader::text(std::string_view key, std::string& value, const std::function<bool(const std::string&)>& valid, std::string_view allowed) {
  auto found = impl_->find(key);
  if (!found) return;
  if (valid(found->text)) value = std::move(found->text);
  else impl_->refuse(*found, allowed);
}

void config_reader::bytes(std::string_view key, std::uint64_t& value, std::uint64_t least, std::uint64_t most) {
  const auto read = impl_->read<std::uint64_t>(
      key, detail::parse_bytes, least, most,
      fmt::format("a size such as 64KiB or 2MiB in [{}, {}]", detail::bytes_text(least), detail::bytes_text(most)));
  if (read) value = *read;
}

void config_reader::problem(std::string text) { impl_->problems.push_back(std::move(text)); }

void config_reader::finish() {
  impl_->report_unknown();
  if (!impl_->problems.empty()) throw config_error{impl_->problems};
}

}  // namespace spillway
