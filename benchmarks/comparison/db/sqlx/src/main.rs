// SPDX-License-Identifier: Apache-2.0
//! Point selects by sqlx: sqlx_load URL CALLERS SECONDS. Prints selects a second.
use std::time::{Duration, Instant};

use sqlx::postgres::{PgPool, PgPoolOptions};

async fn run(pool: &PgPool, callers: u32, length: Duration) -> f64 {
    let began = Instant::now();
    let mut tasks = Vec::new();
    for c in 0..callers {
        let pool = pool.clone();
        tasks.push(tokio::spawn(async move {
            let mut id = c.wrapping_mul(7919);
            let mut done = 0u64;
            while began.elapsed() < length {
                id = id.wrapping_mul(1_103_515_245).wrapping_add(12_345);
                // sqlx prepares it once for each connection.
                let _balance: i32 = sqlx::query_scalar("SELECT abalance FROM pgbench_accounts WHERE aid = $1")
                    .bind(i64::from(id % 100_000) + 1)
                    .fetch_one(&pool)
                    .await
                    .unwrap();
                done += 1;
            }
            done
        }));
    }
    let mut total = 0;
    for task in tasks {
        total += task.await.unwrap();
    }
    total as f64 / began.elapsed().as_secs_f64()
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let callers: u32 = arguments[2].parse().unwrap();
    let seconds: u64 = arguments[3].parse().unwrap();
    // Its own default asks the server before each use; ours and the others' do not, so that is off.
    let pool = PgPoolOptions::new().max_connections(8).min_connections(8).test_before_acquire(false).connect(&arguments[1]).await.unwrap();
    run(&pool, callers, Duration::from_millis(500)).await;
    println!("{:.0}", run(&pool, callers, Duration::from_secs(seconds)).await);
}
