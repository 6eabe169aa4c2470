// SPDX-License-Identifier: Apache-2.0
//! r2d2: threads that block. A connection is held by a sleep of its thread.

use crate::{Connection, Options, Outcome, Phase, Server, Tally};
use crate::{BATCH, COUNTING, SPIKE_CONNECT, SPIKE_WARM, STOPPED, TIMING};
use std::convert::Infallible;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Barrier};
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

struct Manager(Arc<Server>);

impl r2d2::ManageConnection for Manager {
    type Connection = Connection;
    type Error = Infallible;

    fn connect(&self) -> Result<Connection, Infallible> {
        self.0.begun.fetch_add(1, Ordering::SeqCst);
        sleep(self.0.connect);
        self.0.opened.fetch_add(1, Ordering::SeqCst);
        Ok(Connection)
    }
    fn is_valid(&self, _: &mut Connection) -> Result<(), Infallible> {
        Ok(())
    }
    fn has_broken(&self, _: &mut Connection) -> bool {
        false
    }
}

type Pool = r2d2::Pool<Manager>;

fn open(resources: usize, idle: usize, server: &Arc<Server>) -> Pool {
    let builder = r2d2::Pool::builder().max_size(resources as u32).min_idle(Some(idle as u32));
    builder.build(Manager(server.clone())).expect("a stub connects")
}

fn fast(pool: &Pool, phase: &Phase) -> Tally {
    let mut tally = Tally::new();
    loop {
        match phase.now() {
            STOPPED => return tally,
            TIMING => {
                let asked = Instant::now();
                drop(pool.get().unwrap());
                tally.times.record(asked.elapsed().as_nanos() as u64);
            }
            now => {
                for _ in 0..BATCH {
                    drop(pool.get().unwrap());
                }
                if now == COUNTING {
                    tally.cycles += BATCH;
                }
            }
        }
    }
}

fn contended(pool: &Pool, phase: &Phase, hold: Duration) -> Tally {
    let mut tally = Tally::new();
    while phase.now() != STOPPED {
        let asked = Instant::now();
        let connection = pool.get().unwrap();
        let granted = Instant::now();
        tally.waited(phase, asked, granted);
        if !hold.is_zero() {
            sleep(hold);
        }
        tally.held(phase, granted);
        drop(connection);
    }
    tally
}

/// Runs `body` on `threads` threads, and `course` meanwhile.
fn on_threads<T>(threads: usize, body: impl Fn() -> Tally + Sync, course: impl FnOnce() -> T) -> (Vec<Tally>, T) {
    thread::scope(|scope| {
        let started: Vec<_> = (0..threads).map(|_| scope.spawn(&body)).collect();
        let result = course();
        (started.into_iter().map(|t| t.join().unwrap()).collect(), result)
    })
}

pub fn run(options: &Options) -> Outcome {
    let (threads, resources, hold) = (options.threads, options.resources, options.hold);
    let phase = Phase::new();
    let server = Arc::new(Server::new(Duration::ZERO));
    let pool = open(resources, resources, &server);
    if options.mode == "fast" {
        let (tallies, elapsed) = on_threads(threads, || fast(&pool, &phase), || phase.run_fast(options));
        return Outcome::of_run(tallies, elapsed, &server);
    }
    let duration = if options.mode == "spike" { Duration::ZERO } else { options.duration };
    let (tallies, elapsed) = on_threads(threads, || contended(&pool, &phase, hold), || phase.run_contended(duration));
    if options.mode == "contended" {
        return Outcome::of_run(tallies, elapsed, &server);
    }
    // That was the warm-up of a spike.
    drop(pool);
    let server = Arc::new(Server::new(SPIKE_CONNECT));
    let pool = open(resources, SPIKE_WARM, &server);
    let gate = Barrier::new(threads);
    let once = || {
        gate.wait();
        let asked = Instant::now();
        let connection = pool.get().unwrap();
        let granted = Instant::now();
        sleep(hold);
        drop(connection);
        Tally::once(asked, granted, Instant::now())
    };
    let (tallies, ()) = on_threads(threads, once, || ());
    Outcome::of_spike(tallies, &server)
}
