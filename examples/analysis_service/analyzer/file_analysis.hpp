// SPDX-License-Identifier: Apache-2.0
/// @file
/// Reads one file in chunks and tells what it holds.
#pragma once

#include "analyzer/blob_hash.hpp"
#include "analyzer/import_scanner.hpp"
#include "analyzer/language.hpp"
#include "analyzer/line_counter.hpp"

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

namespace analysis {

enum class file_status : std::uint8_t {
  analyzed,
  not_utf8,              ///< Counted all the same: bytes outside ASCII are ordinary text.
  binary,                ///< A NUL in the first 8,000 bytes, which is git's rule. Not counted, not hashed.
  too_large,             ///< Above `max_file_bytes`. Not read.
  unreadable,            ///< Opening or reading failed; `reason` says why.
  not_regular,           ///< A FIFO, socket or device. Not read.
  unknown_language,      ///< Neither name nor content tells the language. Not counted, not hashed.
  symlink,               ///< Never followed.
  unreadable_directory,  ///< Its content is missing from the result.
  too_deep,              ///< A directory below `max_depth`, or a path above `max_path_bytes`. Not entered.
};
inline constexpr std::size_t file_status_count = 10;

[[nodiscard]] std::string_view name_of(file_status status) noexcept;

/// True for the states in which lines were counted.
[[nodiscard]] constexpr bool is_counted(file_status status) noexcept {
  return status == file_status::analyzed || status == file_status::not_utf8;
}

/// What the file system says about a file. Equal values and an old enough change mean equal content.
struct file_identity {
  std::uint64_t size{0};
  std::int64_t mtime_ns{0};
  std::int64_t ctime_ns{0};
  std::uint64_t inode{0};

  friend bool operator==(const file_identity&, const file_identity&) = default;
};

enum class file_origin : std::uint8_t {
  read,           ///< Read and counted now.
  known_content,  ///< Read and hashed now; the counts were known for that content.
  unchanged,      ///< Not opened: the earlier result holds.
};

struct file_analysis {
  std::string path;  ///< Relative to the root. Bytes: see `displayable`.
  file_status status{file_status::analyzed};
  std::string reason;  ///< For people; empty when analyzed.
  language id{language::unknown};
  file_origin origin{file_origin::read};
  bool was_opened{false};             ///< The file was opened for this result.
  bool changed_while_reading{false};  ///< Counts are those of the bytes seen; there is no `blob`.
  bool imports_truncated{false};
  file_identity identity;  ///< As it was before reading. Zero when the file was not looked at.
  line_counts counts;
  std::vector<import_edge> imports;
  std::optional<blob_id> blob;  ///< Whenever the whole file was read unchanged.
};

/// Looks up what is known of a content, for files of at most one chunk. The language must be that of the file.
/// Called by worker threads at the same time. Only counts and imports are taken from the result.
using known_content_lookup = std::function<std::optional<file_analysis>(const blob_id&, language)>;

/// What is a comment.
enum class counting_rule : std::uint8_t {
  like_cloc,  ///< What `cloc` takes for one, marks inside strings included: for numbers that can be compared.
  by_syntax,  ///< What the language takes for one. COUNTING.md tells where the two differ.
};

struct file_options {
  counting_rule counting{counting_rule::like_cloc};
  std::optional<std::uint64_t> max_file_bytes{};  ///< Larger files are not read. Default: no limit.
  import_limits imports{};
  known_content_lookup known_content{};  ///< May be empty.
};

inline constexpr std::size_t chunk_bytes = 64 * 1024;

/// Reads files for one worker: owns the chunk buffer and the hash state, so that a file costs no allocation for them.
///
/// Threads:      one at a time.
/// Errors:       trouble with a file is a `file_status`; only lack of memory and exceptions of the lookup are thrown.
/// Cancellation: the token is looked at before each chunk.
/// Cost:         one chunk buffer, whatever the size of the file and the length of its lines.
class file_analyzer {
 public:
  explicit file_analyzer(file_options options);

  /// Analyzes the file `name` in the directory open as `directory`. Opens without following a symlink and without
  /// blocking. Empty when stopped. `bytes_read` grows with each chunk.
  [[nodiscard]] std::optional<file_analysis> analyze(int directory, const char* name, std::string path,
                                                     const std::stop_token& stop, std::atomic<std::uint64_t>& bytes_read);

 private:
  struct chunk;
  [[nodiscard]] bool read_chunk(int file, std::size_t expected, std::size_t wanted, chunk& result);

  file_options options_;
  std::unique_ptr<char[]> buffer_;
  blob_hasher hasher_;
};

}  // namespace analysis
