// SPDX-License-Identifier: Apache-2.0
#include "pool/tick_source.hpp"

#if defined(__x86_64__)
#include <cpuid.h>
#endif

namespace spillway::detail {

#if defined(__x86_64__)

namespace {

bool runs_at_one_rate() noexcept {
  unsigned eax{0};
  unsigned ebx{0};
  unsigned ecx{0};
  unsigned edx{0};
  constexpr unsigned power_management{0x8000'0007};
  constexpr unsigned invariant_counter{1U << 8U};
  return __get_cpuid(power_management, &eax, &ebx, &ecx, &edx) != 0 && (edx & invariant_counter) != 0;
}

struct reading {
  std::uint64_t ticks;
  time_point at;
  std::uint64_t width;  ///< Ticks that passed while the clock was read.
};

/// Both at one moment: of several readings the one that was least interrupted.
reading read_both() noexcept {
  const auto& clock = system_clock_source();
  reading best{0, {}, std::numeric_limits<std::uint64_t>::max()};
  for (int i = 0; i < 16; ++i) {
    const auto before = __rdtsc();
    const auto at = clock.now();
    const auto after = __rdtsc();
    if (after - before < best.width) best = {before + (after - before) / 2, at, after - before};
  }
  return best;
}

double measured_ns_per_tick() {
  if (!runs_at_one_rate()) return 0.0;
  const auto first = read_both();
  auto last = first;
  while (last.at - first.at < std::chrono::milliseconds{1}) last = read_both();
  const auto passed = last.ticks - first.ticks;
  // Every reading was interrupted: better a slower clock than a wrong one.
  if (passed == 0 || (first.width + last.width) * 10'000 > passed * 5) return 0.0;
  return static_cast<double>((last.at - first.at).count()) / static_cast<double>(passed);
}

}  // namespace

double tick_source::counter_ns_per_tick() {
  static const double measured{measured_ns_per_tick()};
  return measured;
}

#else

double tick_source::counter_ns_per_tick() { return 0.0; }

#endif

}  // namespace spillway::detail
