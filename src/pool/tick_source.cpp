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

double measured_ns_per_tick() {
  if (!runs_at_one_rate()) return 0.0;
  const auto& clock = system_clock_source();
  const auto start = clock.now();
  const auto first = __rdtsc();
  auto now = start;
  while (now - start < std::chrono::milliseconds{1}) now = clock.now();
  const auto passed = __rdtsc() - first;
  return passed == 0 ? 0.0 : static_cast<double>((now - start).count()) / static_cast<double>(passed);
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
