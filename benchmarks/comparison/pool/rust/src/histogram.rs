// SPDX-License-Identifier: Apache-2.0
//! Nanoseconds in a log-linear histogram: exact below 256, then 128 buckets for each power of two (below 0.8% off).

const BUCKETS: usize = 58 * 128;

pub struct Histogram {
    counts: Vec<u64>,
    max: u64,
}

impl Histogram {
    pub fn new() -> Self {
        Histogram { counts: vec![0; BUCKETS], max: 0 }
    }

    #[inline]
    pub fn record(&mut self, value: u64) {
        let shift = if value < 256 { 0 } else { 56 - value.leading_zeros() };
        self.counts[((shift as usize) << 7) + (value >> shift) as usize] += 1;
        if value > self.max {
            self.max = value;
        }
    }

    pub fn add(&mut self, other: &Histogram) {
        for (mine, theirs) in self.counts.iter_mut().zip(&other.counts) {
            *mine += theirs;
        }
        self.max = self.max.max(other.max);
    }

    pub fn max(&self) -> u64 {
        self.max
    }

    /// The middle of the bucket below or in which `share` of all samples lie.
    pub fn quantile(&self, share: f64) -> u64 {
        let total: u64 = self.counts.iter().sum();
        let wanted = ((total as f64 * share).ceil() as u64).max(1);
        let mut seen = 0;
        for (bucket, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= wanted {
                if bucket < 256 {
                    return bucket as u64;
                }
                let shift = (bucket >> 7) - 1;
                let low = ((bucket & 127) as u64 + 128) << shift;
                return (low + (1u64 << shift) / 2).min(self.max);
            }
        }
        0
    }
}
