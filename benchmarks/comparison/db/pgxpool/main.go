// SPDX-License-Identifier: Apache-2.0
// Point selects by pgxpool: pgxpool_load URL CALLERS SECONDS. Prints selects a second.
package main

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
)

func main() {
	callers, _ := strconv.Atoi(os.Args[2])
	seconds, _ := strconv.Atoi(os.Args[3])
	config, err := pgxpool.ParseConfig(os.Args[1])
	if err != nil {
		panic(err)
	}
	config.MaxConns = 8
	config.MinConns = 8
	pool, err := pgxpool.NewWithConfig(context.Background(), config)
	if err != nil {
		panic(err)
	}
	run := func(length time.Duration) float64 {
		var done atomic.Int64
		var all sync.WaitGroup
		began := time.Now()
		for c := 0; c < callers; c++ {
			all.Add(1)
			go func(id uint32) {
				defer all.Done()
				for time.Since(began) < length {
					id = id*1103515245 + 12345
					var balance int
					// pgx prepares it once for each connection.
					row := pool.QueryRow(context.Background(), "SELECT abalance FROM pgbench_accounts WHERE aid = $1", int64(id%100000)+1)
					if err := row.Scan(&balance); err != nil {
						panic(err)
					}
					done.Add(1)
				}
			}(uint32(c) * 7919)
		}
		all.Wait()
		return float64(done.Load()) / time.Since(began).Seconds()
	}
	run(500 * time.Millisecond)
	fmt.Printf("%.0f\n", run(time.Duration(seconds)*time.Second))
}
