// SPDX-License-Identifier: Apache-2.0
#include "analyzer/tree_walk.hpp"

#include "analyzer/file_descriptor.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <string_view>
#include <system_error>
#include <utility>

namespace analysis {

namespace {

constexpr std::size_t batch_size = 32;

enum class entry_kind : std::uint8_t { file, directory, symlink, other, vanished };

entry_kind kind_of_mode(mode_t mode) noexcept {
  if (S_ISREG(mode)) return entry_kind::file;
  if (S_ISDIR(mode)) return entry_kind::directory;
  if (S_ISLNK(mode)) return entry_kind::symlink;
  return entry_kind::other;
}

entry_kind kind_of(int directory, const dirent& entry) noexcept {
  switch (entry.d_type) {
    case DT_REG: return entry_kind::file;
    case DT_DIR: return entry_kind::directory;
    case DT_LNK: return entry_kind::symlink;
    case DT_UNKNOWN: break;
    default: return entry_kind::other;
  }
  struct stat info {};
  if (::fstatat(directory, entry.d_name, &info, AT_SYMLINK_NOFOLLOW) != 0) return entry_kind::vanished;
  return kind_of_mode(info.st_mode);
}

file_analysis skipped_entry(std::string path, file_status status, std::string reason) {
  file_analysis result;
  result.path = std::move(path);
  result.status = status;
  result.reason = std::move(reason);
  return result;
}

class walker {
 public:
  walker(const tree_walk_options& options, const tree_visitor& visitor) : options_(options), visitor_(visitor) {}

  walk_end run(int root) {
    enter(file_descriptor(root), {}, 0);
    return end_;
  }

 private:
  [[nodiscard]] bool going() const noexcept { return end_ == walk_end::complete; }

  void skip(std::string path, file_status status, std::string reason) {
    if (going() && !visitor_.skipped(skipped_entry(std::move(path), status, std::move(reason)))) end_ = walk_end::stopped;
  }

  void flush(file_batch& batch) {
    if (batch.names.empty() || end_ == walk_end::stopped) return;
    file_batch full{batch.directory, batch.prefix, std::exchange(batch.names, {})};
    if (!visitor_.files(std::move(full))) end_ = walk_end::stopped;
  }

  /// `prefix` is the directory's path with a '/' at its end, or empty for the root.
  void enter(file_descriptor fd, std::string prefix, std::size_t depth) {
    const auto directory = std::make_shared<const open_directory>(fd.release());
    if (directory->handle() == nullptr) {
      const int error = errno;
      return skip(path_of(prefix), file_status::unreadable_directory, std::generic_category().message(error));
    }
    file_batch batch{directory, std::move(prefix), {}};
    while (going()) {
      errno = 0;
      const dirent* entry = ::readdir(static_cast<DIR*>(directory->handle()));
      if (entry == nullptr) {
        const int error = errno;
        flush(batch);
        if (error != 0) skip(path_of(batch.prefix), file_status::unreadable_directory, std::generic_category().message(error));
        return;
      }
      visit(*entry, batch, depth);
    }
    flush(batch);
  }

  void visit(const dirent& entry, file_batch& batch, std::size_t depth) {
    const std::string_view name = entry.d_name;
    if (name == "." || name == "..") return;
    const entry_kind kind = kind_of(batch.directory->fd(), entry);
    if (kind == entry_kind::directory && std::ranges::find(options_.skipped_directories, name) != options_.skipped_directories.end()) return;
    if (kind != entry_kind::vanished && batch.prefix.size() + name.size() > options_.max_path_bytes) {
      // The path itself may be what is too much: name the directory that holds it.
      return skip(path_of(batch.prefix), file_status::too_deep,
                  "a path in it is longer than " + std::to_string(options_.max_path_bytes) + " bytes");
    }
    switch (kind) {
      case entry_kind::file: return add_file(name, batch);
      case entry_kind::directory: return descend(name, batch, depth);
      case entry_kind::symlink: return skip(batch.prefix + std::string(name), file_status::symlink, "symbolic links are not followed");
      case entry_kind::other: return skip(batch.prefix + std::string(name), file_status::not_regular, "not a regular file");
      case entry_kind::vanished: return skip(batch.prefix + std::string(name), file_status::unreadable, "gone before it was read");
    }
  }

  void add_file(std::string_view name, file_batch& batch) {
    if (options_.max_files && files_ >= *options_.max_files) {
      end_ = walk_end::file_limit;
      return;
    }
    ++files_;
    batch.names.emplace_back(name);
    if (batch.names.size() == batch_size) flush(batch);
  }

  void descend(std::string_view name, file_batch& batch, std::size_t depth) {
    std::string path = batch.prefix + std::string(name);
    if (depth + 1 > options_.max_depth) {
      return skip(std::move(path), file_status::too_deep, "more than " + std::to_string(options_.max_depth) + " levels deep");
    }
    const int flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK;
    file_descriptor fd(::openat(batch.directory->fd(), std::string(name).c_str(), flags));
    if (!fd.is_open()) {
      const int error = errno;
      return skip(std::move(path), file_status::unreadable_directory, std::generic_category().message(error));
    }
    enter(std::move(fd), std::move(path) + '/', depth + 1);
  }

  static std::string path_of(const std::string& prefix) {
    return prefix.empty() ? std::string(".") : prefix.substr(0, prefix.size() - 1);
  }

  const tree_walk_options& options_;
  const tree_visitor& visitor_;
  walk_end end_{walk_end::complete};
  std::uint64_t files_{0};
};

}  // namespace

open_directory::open_directory(int fd) noexcept : handle_(::fdopendir(fd)) {
  if (handle_ == nullptr) {
    const int error = errno;
    ::close(fd);
    errno = error;
  }
}

open_directory::~open_directory() {
  if (handle_ != nullptr) ::closedir(static_cast<DIR*>(handle_));
}

int open_directory::fd() const noexcept { return ::dirfd(static_cast<DIR*>(handle_)); }

walk_end walk_tree(int root, const tree_walk_options& options, const tree_visitor& visitor) {
  return walker(options, visitor).run(root);
}

}  // namespace analysis
