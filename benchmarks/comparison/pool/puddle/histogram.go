// SPDX-License-Identifier: Apache-2.0

package main

import (
	"math"
	"math/bits"
)

// Nanoseconds in a log-linear histogram: exact below 256, then 128 buckets for each power of two (below 0.8% off).
type histogram struct {
	counts [58 * 128]uint64
	max    uint64
}

func (h *histogram) record(value uint64) {
	shift := 0
	if value >= 256 {
		shift = bits.Len64(value) - 8
	}
	h.counts[shift<<7+int(value>>shift)]++
	if value > h.max {
		h.max = value
	}
}

func (h *histogram) add(other *histogram) {
	for i, count := range other.counts {
		h.counts[i] += count
	}
	h.max = max(h.max, other.max)
}

// The middle of the bucket below or in which `share` of all samples lie.
func (h *histogram) quantile(share float64) uint64 {
	total := uint64(0)
	for _, count := range h.counts {
		total += count
	}
	wanted := max(uint64(math.Ceil(float64(total)*share)), 1)
	seen := uint64(0)
	for bucket, count := range h.counts {
		seen += count
		if seen < wanted {
			continue
		}
		if bucket < 256 {
			return uint64(bucket)
		}
		shift := bucket>>7 - 1
		low := uint64(bucket&127+128) << shift
		return min(low+uint64(1)<<shift/2, h.max)
	}
	return 0
}
