// SPDX-License-Identifier: Apache-2.0
//! The connection pools r2d2 (blocking), bb8 and deadpool (on tokio) under one load of stub connections:
//!   rust_pools --peer r2d2|bb8|deadpool --mode fast|contended|spike [--threads N] [--resources M] [--hold-us U] [--seconds S]
//! Prints one line of JSON. Every pool keeps its own defaults; a stub connection is always valid and costs nothing.
//!
//! fast       N threads acquire and release M connections without a hold: `cycles_per_s` from S seconds in which nobody
//!            reads a clock, then the quantiles of one timed acquire + release from one second more.
//! contended  N threads share M connections and hold each for U microseconds: the quantiles are those of the wait for a
//!            connection, `held_us` is the mean time that a connection was in fact held.
//! spike      connecting takes 150 ms, the pool is warm with 5 connections and may have M; N threads ask at once, once
//!            each, for a query of U microseconds. `all_done_ms` is from the first request to the last release. `begun`
//!            and `opened` are the connects begun and finished by then, `opened_later` those finished a second later.
//!
//! `share_min_max`: fewest cycles of a thread over most cycles of a thread. `clock_ns`: the cost of reading the clock once,
//! which every timed sample contains.
//!
//! The threads of bb8 and deadpool are tasks, on N workers (fast) or at most 2 (contended, spike). A task holds its
//! connection by a timerfd in the runtime's own poller: the runtime's timer counts whole milliseconds, and a thread that
//! sleeps would take its worker away.

mod async_pools;
mod blocking;
mod histogram;

use histogram::Histogram;
use std::process::exit;
use std::sync::atomic::{AtomicU64, AtomicU8, Ordering};
use std::time::{Duration, Instant};

pub const WARM_UP: Duration = Duration::from_millis(300);
pub const TIMED: Duration = Duration::from_secs(1);
pub const SPIKE_CONNECT: Duration = Duration::from_millis(150);
pub const SPIKE_WARM: usize = 5;
pub const BATCH: u64 = 100;

pub struct Options {
    pub peer: String,
    pub mode: String,
    pub threads: usize,
    pub resources: usize,
    pub hold: Duration,
    pub duration: Duration,
}

/// What the stub connections are made of: a connect that takes its time, and counts itself.
pub struct Server {
    pub connect: Duration,
    pub begun: AtomicU64,
    pub opened: AtomicU64,
}

impl Server {
    pub fn new(connect: Duration) -> Self {
        Server { connect, begun: AtomicU64::new(0), opened: AtomicU64::new(0) }
    }
}

pub struct Connection;

/// Which part of a run the threads are in.
pub struct Phase(AtomicU8);

pub const WARMING: u8 = 0;
pub const COUNTING: u8 = 1;
pub const TIMING: u8 = 2;
pub const STOPPED: u8 = 3;

impl Phase {
    pub fn new() -> Self {
        Phase(AtomicU8::new(WARMING))
    }
    #[inline]
    pub fn now(&self) -> u8 {
        self.0.load(Ordering::Relaxed)
    }
    pub fn set(&self, phase: u8) -> Instant {
        self.0.store(phase, Ordering::Relaxed);
        Instant::now()
    }

    /// The course of a fast run, by the main thread. Returns how long cycles were counted.
    pub fn run_fast(&self, options: &Options) -> Duration {
        std::thread::sleep(WARM_UP);
        let from = self.set(COUNTING);
        std::thread::sleep(options.duration);
        let to = self.set(TIMING);
        std::thread::sleep(TIMED);
        self.set(STOPPED);
        to - from
    }

    pub fn run_contended(&self, duration: Duration) -> Duration {
        std::thread::sleep(WARM_UP);
        let from = self.set(COUNTING);
        std::thread::sleep(duration);
        self.set(STOPPED) - from
    }
}

/// What one thread has seen.
pub struct Tally {
    pub cycles: u64,
    pub times: Histogram,
    pub held: Duration,
    pub from: Option<Instant>,
    pub to: Option<Instant>,
}

impl Tally {
    pub fn new() -> Self {
        Tally { cycles: 0, times: Histogram::new(), held: Duration::ZERO, from: None, to: None }
    }

    /// A wait is kept if it ends after the warm-up, be it after the last counted cycle: the longest are those.
    #[inline]
    pub fn waited(&mut self, phase: &Phase, asked: Instant, granted: Instant) {
        if phase.now() != WARMING {
            self.times.record((granted - asked).as_nanos() as u64);
        }
    }

    /// A cycle counts if it ends while counting.
    #[inline]
    pub fn held(&mut self, phase: &Phase, granted: Instant) {
        if phase.now() == COUNTING {
            self.cycles += 1;
            self.held += granted.elapsed();
        }
    }

    pub fn once(asked: Instant, granted: Instant, done: Instant) -> Self {
        let mut tally = Tally::new();
        tally.times.record((granted - asked).as_nanos() as u64);
        tally.cycles = 1;
        tally.held = done - granted;
        tally.from = Some(asked);
        tally.to = Some(done);
        tally
    }
}

pub struct Outcome {
    pub tallies: Vec<Tally>,
    pub elapsed: Duration,
    pub begun: u64,
    pub opened: u64,
    pub opened_later: Option<u64>,
}

impl Outcome {
    pub fn of_run(tallies: Vec<Tally>, elapsed: Duration, server: &Server) -> Self {
        let begun = server.begun.load(Ordering::SeqCst);
        let opened = server.opened.load(Ordering::SeqCst);
        Outcome { tallies, elapsed, begun, opened, opened_later: None }
    }

    /// Waits for a second, so that what is being opened gets counted too.
    pub fn of_spike(tallies: Vec<Tally>, server: &Server) -> Self {
        let from = tallies.iter().filter_map(|t| t.from).min().unwrap();
        let to = tallies.iter().filter_map(|t| t.to).max().unwrap();
        let mut outcome = Self::of_run(tallies, to - from, server);
        std::thread::sleep(Duration::from_secs(1));
        outcome.opened_later = Some(server.opened.load(Ordering::SeqCst));
        outcome
    }
}

fn refuse(message: &str) -> ! {
    eprintln!("rust_pools: {message}");
    eprintln!("usage: rust_pools --peer r2d2|bb8|deadpool --mode fast|contended|spike [--threads N] [--resources M] [--hold-us U] [--seconds S]");
    exit(2)
}

fn parse() -> Options {
    let mut given: Vec<(String, String)> = Vec::new();
    let mut arguments = std::env::args().skip(1);
    while let Some(name) = arguments.next() {
        if !["--peer", "--mode", "--threads", "--resources", "--hold-us", "--seconds"].contains(&name.as_str()) {
            refuse(&format!("unknown argument '{name}'"));
        }
        let Some(value) = arguments.next() else { refuse(&format!("{name} needs a value")) };
        given.push((name, value));
    }
    let text = |name: &str| given.iter().rev().find(|(n, _)| n == name).map(|(_, v)| v.clone());
    let number = |name: &str, otherwise: f64| match text(name) {
        None => otherwise,
        Some(value) => match value.parse::<f64>() {
            Ok(n) if (0.0..=1e6).contains(&n) => n,
            _ => refuse(&format!("{name} is a number from 0 to 1000000, not '{value}'")),
        },
    };
    let mode = text("--mode").unwrap_or_default();
    let (threads, resources, hold_us) = match mode.as_str() {
        "fast" => (1, 8, 0),
        "contended" => (32, 16, 100),
        "spike" => (50, 50, 2000),
        _ => refuse("--mode is fast, contended or spike"),
    };
    Options {
        peer: text("--peer").unwrap_or_default(),
        mode,
        threads: (number("--threads", threads as f64) as usize).max(1),
        resources: (number("--resources", resources as f64) as usize).max(1),
        hold: Duration::from_nanos((number("--hold-us", hold_us as f64) * 1e3) as u64),
        duration: Duration::from_secs_f64(number("--seconds", 3.0)),
    }
}

/// The version that the build file asks for, which is exact.
fn version(peer: &str) -> &'static str {
    let line = include_str!("../Cargo.toml").lines().find(|line| line.split(' ').next() == Some(peer));
    line.and_then(|line| line.split("\"=").nth(1)).and_then(|rest| rest.split('"').next()).unwrap_or("?")
}

fn clock_ns() -> f64 {
    let readings = 1_000_000;
    let from = Instant::now();
    for _ in 0..readings {
        std::hint::black_box(Instant::now());
    }
    from.elapsed().as_nanos() as f64 / f64::from(readings)
}

fn main() {
    let options = parse();
    let outcome = match options.peer.as_str() {
        "r2d2" => blocking::run(&options),
        "bb8" => async_pools::run::<async_pools::Bb8>(&options),
        "deadpool" => async_pools::run::<async_pools::Deadpool>(&options),
        _ => refuse("--peer is r2d2, bb8 or deadpool"),
    };
    let mut times = Histogram::new();
    let (mut cycles, mut held) = (0, Duration::ZERO);
    for tally in &outcome.tallies {
        times.add(&tally.times);
        cycles += tally.cycles;
        held += tally.held;
    }
    let fewest = outcome.tallies.iter().map(|t| t.cycles).min().unwrap_or(0);
    let most = outcome.tallies.iter().map(|t| t.cycles).max().unwrap_or(0).max(1);
    let mut line = format!(
        "{{\"peer\":\"{}\",\"version\":\"{}\",\"mode\":\"{}\",\"threads\":{},\"resources\":{},\"cycles_per_s\":{:.0},\"p50_ns\":{},\"p99_ns\":{},\"p999_ns\":{},\"max_ns\":{},\"share_min_max\":{:.4},\"opened\":{}",
        options.peer, version(&options.peer), options.mode, options.threads, options.resources,
        cycles as f64 / outcome.elapsed.as_secs_f64(),
        times.quantile(0.5), times.quantile(0.99), times.quantile(0.999), times.max(),
        fewest as f64 / most as f64, outcome.opened,
    );
    if options.mode != "fast" {
        line += &format!(",\"held_us\":{:.1}", held.as_secs_f64() * 1e6 / cycles.max(1) as f64);
    }
    if let Some(later) = outcome.opened_later {
        line += &format!(
            ",\"all_done_ms\":{:.2},\"begun\":{},\"opened_later\":{later}",
            outcome.elapsed.as_secs_f64() * 1e3, outcome.begun
        );
    }
    println!("{line},\"clock_ns\":{:.1}}}", clock_ns());
}
