// SPDX-License-Identifier: Apache-2.0
// Every operator new of the program, counted.
#include "load.hpp"

#include <cstdlib>
#include <new>

namespace {

std::atomic<std::uint64_t> counted{0};

void* counted_memory(void* memory) {
  if (memory == nullptr) throw std::bad_alloc{};
  counted.fetch_add(1, std::memory_order_relaxed);
  return memory;
}

}  // namespace

std::uint64_t allocations() noexcept { return counted.load(std::memory_order_relaxed); }

// The forms for arrays and without exceptions call these.
void* operator new(std::size_t size) { return counted_memory(std::malloc(std::max<std::size_t>(size, 1))); }
void* operator new(std::size_t size, std::align_val_t alignment) {
  const auto unit = static_cast<std::size_t>(alignment);
  return counted_memory(std::aligned_alloc(unit, (std::max<std::size_t>(size, 1) + unit - 1) / unit * unit));
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }
void operator delete(void* memory, std::align_val_t) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t, std::align_val_t) noexcept { std::free(memory); }
