// SPDX-License-Identifier: Apache-2.0
#include "analysis_service/project_root.hpp"

#include <fmt/format.h>

#include <cerrno>
#include <filesystem>
#include <stdexcept>
#include <system_error>

#include <fcntl.h>

namespace analysis {

namespace {

constexpr std::size_t longest_path_bytes{4096};
constexpr std::size_t most_components{256};
constexpr int on_the_way{O_PATH | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW};  // asks for the right to pass, not to list
constexpr int to_read{O_RDONLY | O_DIRECTORY | O_CLOEXEC};

path_refusal refusal_of(int failure, std::string_view component) {
  switch (failure) {
    case ENOENT: return {fmt::format("'{}' does not exist", component)};
    case ELOOP: return {fmt::format("'{}' is a symbolic link; links are not followed", component)};
    case ENOTDIR: return {fmt::format("'{}' is not a directory, or is a symbolic link", component)};
    case EACCES: return {fmt::format("'{}' cannot be opened by this server: permission denied", component)};
    case ENAMETOOLONG: return {fmt::format("a component of {} bytes is too long", component.size())};
    default: return {fmt::format("'{}' cannot be opened: {}", component, std::generic_category().message(failure))};
  }
}

}  // namespace

project_root::project_root(const std::string& root) {
  std::error_code failure;
  root_ = std::filesystem::canonical(root, failure).string();
  if (!failure) fd_ = file_descriptor{::open(root_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
  if (failure || !fd_.is_open()) {
    throw std::invalid_argument(fmt::format("root is '{}': {}; it must be a directory this program can open", root,
                                            failure ? failure.message() : std::generic_category().message(errno)));
  }
}

spillway::result<project_directory, path_refusal> project_root::open(std::string_view requested) const {
  if (requested.empty()) return path_refusal{"the path is empty; '.' is the root itself"};
  if (requested.size() > longest_path_bytes) {
    return path_refusal{fmt::format("the path is {} bytes long; at most {} are allowed", requested.size(), longest_path_bytes)};
  }
  if (requested.find('\0') != std::string_view::npos) return path_refusal{"the path contains a NUL byte"};
  if (requested.front() == '/') {
    const std::string_view base = root_ == "/" ? std::string_view{} : std::string_view{root_};
    const bool below = requested.starts_with(base) && (requested.size() == base.size() || requested[base.size()] == '/');
    if (!below) return path_refusal{"the path is outside the configured root"};
    requested.remove_prefix(base.size());
  }

  project_directory found{file_descriptor{::openat(fd_.get(), ".", on_the_way)}, {}};
  if (!found.fd.is_open()) return refusal_of(errno, ".");
  std::size_t components{0};
  while (!requested.empty()) {
    const auto length = std::min(requested.find('/'), requested.size());
    const std::string component{requested.substr(0, length)};
    requested.remove_prefix(std::min(length + 1, requested.size()));
    if (component.empty() || component == ".") continue;
    if (component == "..") return path_refusal{"the path contains '..'"};
    if (++components > most_components) return path_refusal{fmt::format("the path has more than {} components", most_components)};
    file_descriptor next{::openat(found.fd.get(), component.c_str(), on_the_way)};
    if (!next.is_open()) return refusal_of(errno, component);
    found.fd = std::move(next);
    if (!found.path.empty()) found.path += '/';
    found.path += component;
  }
  // Opened anew: a duplicate would share its place in the listing with everyone who reads the root.
  found.fd = file_descriptor{::openat(found.fd.get(), ".", to_read)};
  if (!found.fd.is_open()) return refusal_of(errno, found.path.empty() ? "." : found.path);
  return found;
}

}  // namespace analysis
