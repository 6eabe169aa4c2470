// SPDX-License-Identifier: Apache-2.0
/// @file
/// The id git gives to a file's content: SHA-1 of "blob <size>\0" and the bytes.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

struct evp_md_ctx_st;
struct evp_md_st;

namespace analysis {

using blob_id = std::array<std::uint8_t, 20>;

/// Forty lower-case hexadecimal digits.
[[nodiscard]] std::string to_hex(const blob_id& id);
[[nodiscard]] std::optional<blob_id> blob_id_from_hex(std::string_view hex) noexcept;

/// Hashes one file after another: start, update any number of times, finish.
///
/// Threads: one at a time. Errors: std::runtime_error when OpenSSL refuses SHA-1 or runs out of memory.
class blob_hasher {
 public:
  blob_hasher();

  /// `size` goes into the id; the bytes given by `update` must add up to it.
  void start(std::uint64_t size);
  void update(std::string_view bytes);
  [[nodiscard]] blob_id finish();

 private:
  struct release {
    void operator()(evp_md_ctx_st* context) const noexcept;
    void operator()(evp_md_st* algorithm) const noexcept;
  };
  std::unique_ptr<evp_md_st, release> algorithm_;
  std::unique_ptr<evp_md_ctx_st, release> context_;
};

}  // namespace analysis
