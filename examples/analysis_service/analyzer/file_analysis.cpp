// SPDX-License-Identifier: Apache-2.0
#include "analyzer/file_analysis.hpp"

#include "analyzer/cloc_counter.hpp"
#include "analyzer/file_descriptor.hpp"
#include "analyzer/file_stat.hpp"
#include "analyzer/text_encoding.hpp"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <system_error>
#include <utility>

namespace analysis {

namespace {

constexpr std::size_t git_binary_window = 8000;

std::string error_text(int error) { return std::generic_category().message(error); }

file_analysis refuse(file_analysis& result, file_status status, std::string reason) {
  result.status = status;
  result.reason = std::move(reason);
  return std::move(result);
}

}  // namespace

struct file_analyzer::chunk {
  std::string_view bytes;
  int error{0};
  [[nodiscard]] bool failed() const noexcept { return error != 0; }
};

std::string_view name_of(file_status status) noexcept {
  switch (status) {
    case file_status::analyzed: return "analyzed";
    case file_status::not_utf8: return "not_utf8";
    case file_status::binary: return "binary";
    case file_status::too_large: return "too_large";
    case file_status::unreadable: return "unreadable";
    case file_status::not_regular: return "not_regular";
    case file_status::unknown_language: return "unknown_language";
    case file_status::symlink: return "symlink";
    case file_status::unreadable_directory: return "unreadable_directory";
    case file_status::too_deep: return "too_deep";
  }
  return "unreadable";
}

file_analyzer::file_analyzer(file_options options)
    : options_(std::move(options)), buffer_(std::make_unique_for_overwrite<char[]>(chunk_bytes)) {}

/// Reads up to `wanted` bytes; fewer than `expected` only at the end of the file.
bool file_analyzer::read_chunk(int file, std::size_t expected, std::size_t wanted, chunk& result) {
  std::size_t size = 0;
  do {
    const ssize_t got = ::read(file, buffer_.get() + size, wanted - size);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) {
      result.error = errno;
      return false;
    }
    if (got == 0) break;
    size += static_cast<std::size_t>(got);
  } while (size < expected);
  result.bytes = {buffer_.get(), size};
  return true;
}

std::optional<file_analysis> file_analyzer::analyze(int directory, const char* name, std::string path,
                                                    const std::stop_token& stop, std::atomic<std::uint64_t>& bytes_read) {
  file_analysis result;
  result.path = std::move(path);
  const name_verdict verdict = language_of_name(name);
  result.id = verdict.id;
  if (verdict.id == language::unknown && !verdict.needs_content) {
    return refuse(result, file_status::unknown_language, "no source file has such a name");
  }

  const file_descriptor file(::openat(directory, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
  if (!file.is_open()) {
    if (errno == ELOOP) return refuse(result, file_status::symlink, "symbolic links are not followed");
    if (errno == ENXIO) return refuse(result, file_status::not_regular, "not a regular file");
    return refuse(result, file_status::unreadable, error_text(errno));
  }
  result.was_opened = true;
  struct stat info {};
  if (::fstat(file.get(), &info) != 0) return refuse(result, file_status::unreadable, error_text(errno));
  if (!S_ISREG(info.st_mode)) return refuse(result, file_status::not_regular, "not a regular file");
  result.identity = identity_of(info);
  const std::uint64_t size = result.identity.size;
  if (options_.max_file_bytes && size > *options_.max_file_bytes) {
    return refuse(result, file_status::too_large,
                  std::to_string(size) + " bytes, the limit is " + std::to_string(*options_.max_file_bytes));
  }

  std::optional<import_scanner> imports;
  std::optional<line_counter> lines;
  std::optional<cloc_counter> cloc;
  utf8_checker utf8;
  std::uint64_t total = 0;
  for (bool at_end = false; !at_end;) {
    if (stop.stop_requested()) return std::nullopt;
    // One byte more than should be left shows that the file grew.
    const auto expected = static_cast<std::size_t>(std::min<std::uint64_t>(chunk_bytes, size - total));
    const std::size_t wanted = std::min(chunk_bytes, expected + 1);
    chunk piece;
    if (!read_chunk(file.get(), expected, wanted, piece)) return refuse(result, file_status::unreadable, error_text(piece.error));
    at_end = piece.bytes.size() < wanted;
    bytes_read += piece.bytes.size();
    if (total + piece.bytes.size() > size) {
      result.changed_while_reading = true;
      piece.bytes.remove_suffix(1);
      at_end = true;
    }
    if (!lines) {
      if (piece.bytes.substr(0, git_binary_window).find('\0') != std::string_view::npos) {
        return refuse(result, file_status::binary, "contains NUL bytes");
      }
      if (verdict.needs_content) result.id = language_of_content(name, piece.bytes);
      if (result.id == language::unknown) {
        return refuse(result, file_status::unknown_language, "neither name nor first line tells the language");
      }
      hasher_.start(size);
      if (at_end && !result.changed_while_reading && piece.bytes.size() == size && options_.known_content) {
        hasher_.update(piece.bytes);
        result.blob = hasher_.finish();
        if (std::optional<file_analysis> known = options_.known_content(*result.blob, result.id)) {
          result.origin = file_origin::known_content;
          result.status = known->status;
          result.reason = std::move(known->reason);
          result.counts = known->counts;
          result.imports = std::move(known->imports);
          result.imports_truncated = known->imports_truncated;
          return result;
        }
      }
      imports.emplace(result.id, options_.imports);
      lines.emplace(result.id, &*imports);
      if (options_.counting == counting_rule::like_cloc && cloc_counter::covers(result.id)) cloc.emplace(result.id);
    }
    if (!result.blob) hasher_.update(piece.bytes);
    utf8.feed(piece.bytes);
    lines->feed(piece.bytes);
    if (cloc) cloc->feed(piece.bytes);
    total += piece.bytes.size();
  }
  lines->finish();
  result.counts = lines->counts();
  if (cloc) {
    cloc->finish();
    result.counts.code = cloc->counts().code;
    result.counts.comment = cloc->counts().comment;
    result.counts.blank = cloc->counts().blank;
  }
  result.imports_truncated = imports->truncated();
  result.imports = imports->take_edges();
  if (!utf8.complete()) {
    result.status = file_status::not_utf8;
    result.reason = "not valid UTF-8";
  }

  // A file of several chunks may have been rewritten in place between them.
  struct stat after {};
  const bool rewritten = size > chunk_bytes && (::fstat(file.get(), &after) != 0 || identity_of(after) != result.identity);
  result.changed_while_reading = result.changed_while_reading || total != size || rewritten;
  if (!result.changed_while_reading && !result.blob) result.blob = hasher_.finish();
  return result;
}

}  // namespace analysis
