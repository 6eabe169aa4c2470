// SPDX-License-Identifier: Apache-2.0

/** Nanoseconds in a log-linear histogram: exact below 256, then 128 buckets for each power of two (below 0.8% off). */
final class Histogram {
  private final long[] counts = new long[58 * 128];
  private long max;

  void record(long value) {
    int shift = value < 256 ? 0 : 56 - Long.numberOfLeadingZeros(value);
    counts[(shift << 7) + (int) (value >>> shift)]++;
    if (value > max) max = value;
  }

  void add(Histogram other) {
    for (int i = 0; i < counts.length; i++) counts[i] += other.counts[i];
    max = Math.max(max, other.max);
  }

  long max() {
    return max;
  }

  /** The middle of the bucket below or in which `share` of all samples lie. */
  long quantile(double share) {
    long total = 0;
    for (long count : counts) total += count;
    long wanted = Math.max((long) Math.ceil(total * share), 1);
    long seen = 0;
    for (int bucket = 0; bucket < counts.length; bucket++) {
      seen += counts[bucket];
      if (seen < wanted) continue;
      if (bucket < 256) return bucket;
      int shift = (bucket >> 7) - 1;
      long low = ((bucket & 127) + 128L) << shift;
      return Math.min(low + (1L << shift) / 2, max);
    }
    return 0;
  }
}
