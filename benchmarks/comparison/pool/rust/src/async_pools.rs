// SPDX-License-Identifier: Apache-2.0
//! bb8 and deadpool: tasks on tokio. A connection is held by a timerfd, so that no worker is blocked meanwhile.

use crate::{Connection, Options, Outcome, Phase, Server, Tally};
use crate::{BATCH, COUNTING, SPIKE_CONNECT, SPIKE_WARM, STOPPED, TIMING};
use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::sync::atomic::Ordering;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::{unix::AsyncFd, Interest};

pub trait AsyncPool: Sized + Send + Sync + 'static {
    type Lease<'a>: Send;

    /// Opens a pool of at most `resources` connections, of which `idle` are open when this returns.
    fn open(resources: usize, idle: usize, server: Arc<Server>) -> impl Future<Output = Self> + Send;
    fn get(&self) -> impl Future<Output = Self::Lease<'_>> + Send;
}

async fn connect(server: &Server) -> Connection {
    server.begun.fetch_add(1, Ordering::SeqCst);
    if !server.connect.is_zero() {
        tokio::time::sleep(server.connect).await;
    }
    server.opened.fetch_add(1, Ordering::SeqCst);
    Connection
}

pub struct Manager(Arc<Server>);

pub struct Bb8(bb8::Pool<Manager>);

impl bb8::ManageConnection for Manager {
    type Connection = Connection;
    type Error = Infallible;

    async fn connect(&self) -> Result<Connection, Infallible> {
        Ok(connect(&self.0).await)
    }
    async fn is_valid(&self, _: &mut Connection) -> Result<(), Infallible> {
        Ok(())
    }
    fn has_broken(&self, _: &mut Connection) -> bool {
        false
    }
}

impl AsyncPool for Bb8 {
    type Lease<'a> = bb8::PooledConnection<'a, Manager>;

    async fn open(resources: usize, idle: usize, server: Arc<Server>) -> Self {
        let builder = bb8::Pool::builder().max_size(resources as u32).min_idle(idle as u32);
        Bb8(builder.build(Manager(server)).await.expect("a stub connects"))
    }
    async fn get(&self) -> Self::Lease<'_> {
        self.0.get().await.unwrap()
    }
}

/// It knows no idle minimum: the connections are opened by acquiring them.
pub struct Deadpool(deadpool::managed::Pool<Manager>);

impl deadpool::managed::Manager for Manager {
    type Type = Connection;
    type Error = Infallible;

    async fn create(&self) -> Result<Connection, Infallible> {
        Ok(connect(&self.0).await)
    }
    async fn recycle(
        &self,
        _: &mut Connection,
        _: &deadpool::managed::Metrics,
    ) -> deadpool::managed::RecycleResult<Infallible> {
        Ok(())
    }
}

impl AsyncPool for Deadpool {
    type Lease<'a> = deadpool::managed::Object<Manager>;

    async fn open(resources: usize, idle: usize, server: Arc<Server>) -> Self {
        let builder = deadpool::managed::Pool::builder(Manager(server)).max_size(resources);
        let pool = Deadpool(builder.runtime(deadpool::Runtime::Tokio1).build().expect("a runtime is given"));
        let mut leases = Vec::new();
        for _ in 0..idle {
            leases.push(pool.get().await);
        }
        drop(leases);
        pool
    }
    async fn get(&self) -> Self::Lease<'_> {
        self.0.get().await.unwrap()
    }
}

/// A sleep of microseconds for one task at a time.
struct Timer(AsyncFd<OwnedFd>);

impl Timer {
    fn new() -> Self {
        let flags = libc::TFD_NONBLOCK | libc::TFD_CLOEXEC;
        // SAFETY: a new descriptor, owned by nobody else.
        let fd = unsafe {
            let fd = libc::timerfd_create(libc::CLOCK_MONOTONIC, flags);
            assert!(fd >= 0, "{}", io::Error::last_os_error());
            OwnedFd::from_raw_fd(fd)
        };
        // SAFETY: an OwnedFd names the same open descriptor as long as it lives.
        Timer(unsafe { AsyncFd::register_with_interest(fd, Interest::READABLE) }.expect("a runtime with a poller"))
    }

    async fn sleep(&self, duration: Duration) {
        let fd = self.0.get_ref().as_raw_fd();
        let value = libc::timespec { tv_sec: duration.as_secs() as _, tv_nsec: duration.subsec_nanos() as _ };
        let once = libc::itimerspec { it_interval: libc::timespec { tv_sec: 0, tv_nsec: 0 }, it_value: value };
        // SAFETY: `once` lives through the call, the old value is not asked for.
        let set = unsafe { libc::timerfd_settime(fd, 0, &once, std::ptr::null_mut()) };
        assert!(set == 0, "{}", io::Error::last_os_error());
        loop {
            self.0.readable().await.unwrap().clear_ready();
            let mut expired = 0u64;
            // SAFETY: reads at most the eight bytes of `expired`.
            if unsafe { libc::read(fd, (&raw mut expired).cast(), 8) } == 8 {
                return;
            }
        }
    }
}

async fn fast<P: AsyncPool>(pool: Arc<P>, phase: Arc<Phase>) -> Tally {
    let mut tally = Tally::new();
    loop {
        match phase.now() {
            STOPPED => return tally,
            TIMING => {
                let asked = Instant::now();
                drop(pool.get().await);
                tally.times.record(asked.elapsed().as_nanos() as u64);
            }
            now => {
                for _ in 0..BATCH {
                    drop(pool.get().await);
                }
                if now == COUNTING {
                    tally.cycles += BATCH;
                }
            }
        }
    }
}

async fn contended<P: AsyncPool>(pool: Arc<P>, phase: Arc<Phase>, hold: Duration) -> Tally {
    let mut tally = Tally::new();
    let timer = Timer::new();
    while phase.now() != STOPPED {
        let asked = Instant::now();
        let connection = pool.get().await;
        let granted = Instant::now();
        tally.waited(&phase, asked, granted);
        if !hold.is_zero() {
            timer.sleep(hold).await;
        }
        tally.held(&phase, granted);
        drop(connection);
    }
    tally
}

async fn once<P: AsyncPool>(pool: Arc<P>, gate: Arc<tokio::sync::Barrier>, hold: Duration) -> Tally {
    let timer = Timer::new();
    gate.wait().await;
    let asked = Instant::now();
    let connection = pool.get().await;
    let granted = Instant::now();
    timer.sleep(hold).await;
    drop(connection);
    Tally::once(asked, granted, Instant::now())
}

pub fn run<P: AsyncPool>(options: &Options) -> Outcome {
    let (threads, resources, hold) = (options.threads, options.resources, options.hold);
    let workers = if options.mode == "fast" { threads } else { threads.min(2) };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(workers).enable_all().build().unwrap();
    let join = |tasks: Vec<tokio::task::JoinHandle<Tally>>| -> Vec<Tally> {
        tasks.into_iter().map(|task| runtime.block_on(task).unwrap()).collect()
    };

    let phase = Arc::new(Phase::new());
    let server = Arc::new(Server::new(Duration::ZERO));
    let pool = Arc::new(runtime.block_on(P::open(resources, resources, server.clone())));
    if options.mode == "fast" {
        let tasks = (0..threads).map(|_| runtime.spawn(fast(pool.clone(), phase.clone()))).collect();
        let elapsed = phase.run_fast(options);
        return Outcome::of_run(join(tasks), elapsed, &server);
    }
    let tasks = (0..threads).map(|_| runtime.spawn(contended(pool.clone(), phase.clone(), hold))).collect();
    let duration = if options.mode == "spike" { Duration::ZERO } else { options.duration };
    let elapsed = phase.run_contended(duration);
    let tallies = join(tasks);
    if options.mode == "contended" {
        return Outcome::of_run(tallies, elapsed, &server);
    }
    // That was the warm-up of a spike.
    drop(pool);
    let server = Arc::new(Server::new(SPIKE_CONNECT));
    let pool = Arc::new(runtime.block_on(P::open(resources, SPIKE_WARM, server.clone())));
    let gate = Arc::new(tokio::sync::Barrier::new(threads));
    let tasks = (0..threads).map(|_| runtime.spawn(once(pool.clone(), gate.clone(), hold))).collect();
    Outcome::of_spike(join(tasks), &server)
}
