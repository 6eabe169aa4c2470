// SPDX-License-Identifier: Apache-2.0
// Bytes received and not yet used up.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <memory>
#include <span>
#include <string_view>

namespace spillway::detail {

/// Grows by doubling. What `text` answered holds until `space`, `append` or `release`.
class input_buffer {
 public:
  [[nodiscard]] std::string_view text() const noexcept { return {data_.get() + begin_, end_ - begin_}; }
  [[nodiscard]] bool empty() const noexcept { return begin_ == end_; }
  [[nodiscard]] std::size_t capacity() const noexcept { return capacity_; }

  void consume(std::size_t bytes) noexcept { begin_ += bytes; }

  /// Drops everything behind the first `bytes`.
  void truncate(std::size_t bytes) noexcept { end_ = begin_ + bytes; }

  /// Room for at least `least` more bytes.
  [[nodiscard]] std::span<char> space(std::size_t least) {
    if (begin_ == end_) begin_ = end_ = 0;
    if (capacity_ - end_ < least) {
      const auto size = end_ - begin_;
      if (capacity_ - size >= least) {
        std::memmove(data_.get(), data_.get() + begin_, size);
      } else {
        const auto larger = std::max({2 * capacity_, size + least, first_bytes});
        std::unique_ptr<char[]> moved{new char[larger]};
        if (size != 0) std::memcpy(moved.get(), data_.get() + begin_, size);
        data_ = std::move(moved);
        capacity_ = larger;
      }
      begin_ = 0;
      end_ = size;
    }
    return {data_.get() + end_, capacity_ - end_};
  }

  /// `bytes` were written into `space`.
  void received(std::size_t bytes) noexcept { end_ += bytes; }

  void append(std::string_view text) {
    if (text.empty()) return;
    std::memcpy(space(text.size()).data(), text.data(), text.size());
    received(text.size());
  }

  /// Gives the memory back.
  void release() noexcept {
    data_.reset();
    capacity_ = begin_ = end_ = 0;
  }

 private:
  static constexpr std::size_t first_bytes{4096};

  std::unique_ptr<char[]> data_;
  std::size_t capacity_{0};
  std::size_t begin_{0};
  std::size_t end_{0};
};

}  // namespace spillway::detail
