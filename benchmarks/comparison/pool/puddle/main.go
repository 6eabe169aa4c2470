// SPDX-License-Identifier: Apache-2.0

// The connection pool puddle, which is that of pgx, under a load of stub connections:
//
//	puddle_pool --mode fast|contended|spike [--threads N] [--resources M] [--hold-us U] [--seconds S]
//
// Prints one line of JSON. The pool keeps its own defaults; a stub connection costs nothing.
//
// fast: N goroutines acquire and release M connections without a hold: cycles_per_s from S seconds in which nobody reads
// a clock, then the quantiles of one timed acquire + release from one second more. GOMAXPROCS is N.
//
// contended: N goroutines share M connections and hold each for U microseconds: the quantiles are those of the wait for a
// connection, held_us is the mean time that a connection was in fact held. GOMAXPROCS is at most 2.
//
// spike: connecting takes 150 ms, the pool is warm with 5 connections and may have M; N goroutines ask at once, once each,
// for a query of U microseconds. all_done_ms is from the first request to the last release. begun and opened are the
// connects begun and finished by then, opened_later those finished a second later. GOMAXPROCS is at most 2.
//
// share_min_max: fewest cycles of a goroutine over most cycles of a goroutine. clock_ns: the cost of reading the clock
// once, which every timed sample contains.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/puddle/v2"
)

const (
	warmUp       = 300 * time.Millisecond
	timed        = time.Second
	spikeConnect = 150 * time.Millisecond
	spikeWarm    = 5
	batch        = 100
)

const (
	warming = iota
	counting
	timing
	stopped
)

var (
	phase   atomic.Int32
	started = time.Now()
	ctx     = context.Background()
)

// Nanoseconds of the monotonic clock; time.Now would read the wall clock too.
func now() int64 { return int64(time.Since(started)) }

type connection struct{ _ int }

// What the stub connections are made of: a connect that takes its time, and counts itself.
type server struct {
	connect       time.Duration
	begun, opened atomic.Int64
}

// Opens a pool of at most `resources` connections, of which `idle` are open when this returns.
func (s *server) open(resources, idle int) *puddle.Pool[*connection] {
	pool, err := puddle.NewPool(&puddle.Config[*connection]{
		Constructor: func(context.Context) (*connection, error) {
			s.begun.Add(1)
			if s.connect > 0 {
				time.Sleep(s.connect)
			}
			s.opened.Add(1)
			return &connection{}, nil
		},
		Destructor: func(*connection) {},
		MaxSize:    int32(resources),
	})
	must(err)
	for i := 0; i < idle; i++ {
		must(pool.CreateResource(ctx))
	}
	return pool
}

// What one goroutine has seen.
type tally struct {
	cycles, held, from, to int64
	times                  histogram
}

func acquire(pool *puddle.Pool[*connection]) *puddle.Resource[*connection] {
	resource, err := pool.Acquire(ctx)
	must(err)
	return resource
}

func fast(pool *puddle.Pool[*connection], t *tally) {
	for {
		switch is := phase.Load(); is {
		case stopped:
			return
		case timing:
			asked := now()
			acquire(pool).Release()
			t.times.record(uint64(now() - asked))
		default:
			for i := 0; i < batch; i++ {
				acquire(pool).Release()
			}
			if is == counting {
				t.cycles += batch
			}
		}
	}
}

// A wait is kept if it ends after the warm-up, be it after the last counted cycle: the longest are those. A cycle counts if
// it ends while counting.
func contended(pool *puddle.Pool[*connection], hold time.Duration, t *tally) {
	timer := newTimer()
	defer timer.close()
	for phase.Load() != stopped {
		asked := now()
		resource := acquire(pool)
		granted := now()
		if phase.Load() != warming {
			t.times.record(uint64(granted - asked))
		}
		timer.sleep(hold)
		if phase.Load() == counting {
			t.cycles++
			t.held += now() - granted
		}
		resource.Release()
	}
}

func spike(pool *puddle.Pool[*connection], hold time.Duration, gate *sync.WaitGroup, t *tally) {
	timer := newTimer()
	defer timer.close()
	gate.Done()
	gate.Wait()
	t.from = now()
	resource := acquire(pool)
	granted := now()
	timer.sleep(hold)
	resource.Release()
	t.to = now()
	t.times.record(uint64(granted - t.from))
	t.cycles = 1
	t.held = t.to - granted
}

// Runs `body` in `threads` goroutines, and `course` meanwhile; returns how long that counted.
func run(threads int, body func(*tally), course func() int64) ([]*tally, int64) {
	tallies := make([]*tally, threads)
	var done sync.WaitGroup
	done.Add(threads)
	for i := range tallies {
		t := &tally{}
		tallies[i] = t
		go func() {
			defer done.Done()
			body(t)
		}()
	}
	elapsed := course()
	done.Wait()
	return tallies, elapsed
}

func enter(is int32) int64 {
	phase.Store(is)
	return now()
}

func main() {
	mode := flag.String("mode", "", "fast, contended or spike")
	threads := flag.Int("threads", 0, "goroutines; 0 is the mode's own: 1, 32, 50")
	resources := flag.Int("resources", 0, "connections; 0 is the mode's own: 8, 16, 50")
	holdUs := flag.Float64("hold-us", -1, "microseconds that a connection is held; below 0 is the mode's own: 0, 100, 2000")
	seconds := flag.Float64("seconds", 3, "measured time of fast and contended")
	flag.Parse()
	defaults, known := map[string][3]int{"fast": {1, 8, 0}, "contended": {32, 16, 100}, "spike": {50, 50, 2000}}[*mode]
	if !known || flag.NArg() > 0 || *threads < 0 || *resources < 0 || *seconds < 0 {
		flag.Usage()
		os.Exit(2)
	}
	if *threads == 0 {
		*threads = defaults[0]
	}
	if *resources == 0 {
		*resources = defaults[1]
	}
	if *holdUs < 0 {
		*holdUs = float64(defaults[2])
	}
	hold := time.Duration(*holdUs * 1e3)
	duration := time.Duration(*seconds * 1e9)
	workers := *threads
	if *mode != "fast" {
		workers = min(workers, 2)
	}
	runtime.GOMAXPROCS(workers)

	stub := &server{}
	pool := stub.open(*resources, *resources)
	var tallies []*tally
	var elapsed int64
	if *mode == "fast" {
		tallies, elapsed = run(*threads, func(t *tally) { fast(pool, t) }, func() int64 {
			time.Sleep(warmUp)
			from := enter(counting)
			time.Sleep(duration)
			to := enter(timing)
			time.Sleep(timed)
			enter(stopped)
			return to - from
		})
	} else {
		tallies, elapsed = run(*threads, func(t *tally) { contended(pool, hold, t) }, func() int64 {
			time.Sleep(warmUp)
			from := enter(counting)
			if *mode == "contended" { // else this is the warm-up of a spike
				time.Sleep(duration)
			}
			return enter(stopped) - from
		})
	}
	extra := ""
	if *mode == "spike" {
		stub = &server{connect: spikeConnect}
		pool = stub.open(*resources, spikeWarm)
		var gate sync.WaitGroup
		gate.Add(*threads)
		tallies, _ = run(*threads, func(t *tally) { spike(pool, hold, &gate, t) }, func() int64 { return 0 })
	}
	begun, opened := stub.begun.Load(), stub.opened.Load()
	if *mode == "spike" {
		from, to := tallies[0].from, tallies[0].to
		for _, t := range tallies {
			from, to = min(from, t.from), max(to, t.to)
		}
		elapsed = to - from
		time.Sleep(time.Second) // so that what is being opened gets counted too
		extra = fmt.Sprintf(",\"all_done_ms\":%.2f,\"begun\":%d,\"opened_later\":%d", float64(elapsed)/1e6, begun, stub.opened.Load())
	}
	report(*mode, *threads, *resources, tallies, elapsed, opened, extra)
}

func report(mode string, threads, resources int, tallies []*tally, elapsed, opened int64, extra string) {
	var times histogram
	cycles, held, fewest, most := int64(0), int64(0), tallies[0].cycles, int64(1)
	for _, t := range tallies {
		times.add(&t.times)
		cycles += t.cycles
		held += t.held
		fewest, most = min(fewest, t.cycles), max(most, t.cycles)
	}
	fmt.Printf("{\"peer\":\"puddle\",\"version\":\"%s\",\"mode\":\"%s\",\"threads\":%d,\"resources\":%d,\"cycles_per_s\":%.0f,"+
		"\"p50_ns\":%d,\"p99_ns\":%d,\"p999_ns\":%d,\"max_ns\":%d,\"share_min_max\":%.4f,\"opened\":%d",
		version(), mode, threads, resources, float64(cycles)*1e9/float64(elapsed), times.quantile(0.5), times.quantile(0.99),
		times.quantile(0.999), times.max, float64(fewest)/float64(most), opened)
	if mode != "fast" {
		fmt.Printf(",\"held_us\":%.1f", float64(held)/1e3/float64(max(cycles, 1)))
	}
	fmt.Printf("%s,\"clock_ns\":%.1f}\n", extra, clockNs())
}

func version() string {
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, module := range info.Deps {
			if module.Path == "github.com/jackc/puddle/v2" {
				return strings.TrimPrefix(module.Version, "v")
			}
		}
	}
	return "?"
}

func clockNs() float64 {
	const readings = 1_000_000
	from := now()
	for i := 0; i < readings; i++ {
		now()
	}
	return float64(now()-from) / readings
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}
