// SPDX-License-Identifier: Apache-2.0

import com.zaxxer.hikari.HikariConfig;
import com.zaxxer.hikari.HikariDataSource;
import java.io.InputStream;
import java.util.HashMap;
import java.util.Locale;
import java.util.Map;
import java.util.Properties;
import java.util.concurrent.CyclicBarrier;
import java.util.concurrent.locks.LockSupport;

/**
 * The connection pool HikariCP under a load of stub connections:
 *   PoolPeer --mode fast|contended|spike [--threads N] [--resources M] [--hold-us U] [--seconds S]
 * Prints one line of JSON. The pool keeps its own defaults, and so does the JVM.
 *
 * fast       N threads acquire and release M connections without a hold: `cycles_per_s` from S seconds in which nobody
 *            reads a clock, then the quantiles of one timed acquire + release from one second more. Warmed up for 3 s.
 * contended  N threads share M connections and hold each for U microseconds: the quantiles are those of the wait for a
 *            connection, `held_us` is the mean time that a connection was in fact held. Warmed up for 2 s.
 * spike      connecting takes 150 ms, the pool is warm with 5 connections and may have M; N threads ask at once, once
 *            each, for a query of U microseconds. `all_done_ms` is from the first request to the last release. `begun`
 *            and `opened` are the connects begun and finished by then, `opened_later` those finished a second later.
 *            The JVM is warmed up for 2 s on a pool of its own.
 *
 * `share_min_max`: fewest cycles of a thread over most cycles of a thread. `clock_ns`: the cost of reading the clock once,
 * which every timed sample contains.
 */
public final class PoolPeer {
  private static final long WARM_UP_MS = 2000;
  private static final long TIMED_MS = 1000;
  private static final long SPIKE_CONNECT_MS = 150;
  private static final int SPIKE_WARM = 5;
  private static final int BATCH = 100;

  private static final int WARMING = 0;
  private static final int WARMING_TIMED = 1;
  private static final int COUNTING = 2;
  private static final int TIMING = 3;
  private static final int STOPPED = 4;
  private static volatile int phase = WARMING;

  /** What one thread has seen. */
  private static final class Tally {
    long cycles;
    long held;
    long from;
    long to;
    final Histogram times = new Histogram();
  }

  private interface Body {
    void run(Tally tally) throws Exception;
  }

  private interface Course {
    long run() throws Exception;
  }

  private static long elapsed;

  /** Runs `body` on so many threads, and `course` meanwhile, which returns how long it counted. */
  private static Tally[] onThreads(int threads, Body body, Course course) throws Exception {
    Tally[] tallies = new Tally[threads];
    Thread[] started = new Thread[threads];
    for (int i = 0; i < threads; i++) {
      Tally tally = tallies[i] = new Tally();
      started[i] = new Thread(() -> {
        try {
          body.run(tally);
        } catch (Exception e) {
          e.printStackTrace();
          Runtime.getRuntime().halt(1);
        }
      });
      started[i].start();
    }
    elapsed = course.run();
    for (Thread thread : started) thread.join();
    return tallies;
  }

  private static long enter(int next) {
    phase = next;
    return System.nanoTime();
  }

  /** Opens a pool of at most `resources` connections, of which `idle` are open when this returns. */
  private static HikariDataSource open(StubDataSource server, int resources, int idle) throws Exception {
    HikariConfig config = new HikariConfig();
    config.setDataSource(server);
    config.setMaximumPoolSize(resources);
    config.setMinimumIdle(idle);
    HikariDataSource pool = new HikariDataSource(config);
    while (pool.getHikariPoolMXBean().getIdleConnections() < idle) Thread.sleep(10);
    return pool;
  }

  private static long countWhile(HikariDataSource pool, int during) throws Exception {
    long cycles = 0;
    while (phase == during) {
      for (int i = 0; i < BATCH; i++) pool.getConnection().close();
      cycles += BATCH;
    }
    return cycles;
  }

  private static void timeWhile(HikariDataSource pool, int during, Histogram times) throws Exception {
    while (phase == during) {
      long asked = System.nanoTime();
      pool.getConnection().close();
      times.record(System.nanoTime() - asked);
    }
  }

  private static void fast(HikariDataSource pool, Tally tally) throws Exception {
    countWhile(pool, WARMING);
    timeWhile(pool, WARMING_TIMED, new Histogram());
    tally.cycles = countWhile(pool, COUNTING);
    timeWhile(pool, TIMING, tally.times);
  }

  /** A real sleep of the thread; a permit left over from the pool's own parking must not cut it short. */
  private static void hold(long nanoseconds, long granted) {
    for (long left = nanoseconds; left > 0; left = granted + nanoseconds - System.nanoTime()) LockSupport.parkNanos(left);
  }

  /**
   * A wait is kept if it ends after the warm-up, be it after the last counted cycle: the longest are those. A cycle counts
   * if it ends while counting.
   */
  private static void contended(HikariDataSource pool, long holdNs, Tally tally) throws Exception {
    while (phase != STOPPED) {
      long asked = System.nanoTime();
      try (var connection = pool.getConnection()) {
        long granted = System.nanoTime();
        if (phase != WARMING) tally.times.record(granted - asked);
        hold(holdNs, granted);
        if (phase == COUNTING) {
          tally.cycles++;
          tally.held += System.nanoTime() - granted;
        }
      }
    }
  }

  private static void spike(HikariDataSource pool, long holdNs, CyclicBarrier gate, Tally tally) throws Exception {
    gate.await();
    tally.from = System.nanoTime();
    long granted;
    try (var connection = pool.getConnection()) {
      granted = System.nanoTime();
      hold(holdNs, granted);
    }
    tally.to = System.nanoTime();
    tally.times.record(granted - tally.from);
    tally.cycles = 1;
    tally.held = tally.to - granted;
  }

  public static void main(String[] arguments) throws Exception {
    Map<String, String> given = new HashMap<>();
    for (int i = 0; i < arguments.length; i += 2) {
      boolean known = arguments[i].matches("--(mode|threads|resources|hold-us|seconds)");
      if (!known || i + 1 == arguments.length) refuse("unknown argument or no value: " + arguments[i]);
      given.put(arguments[i], arguments[i + 1]);
    }
    String mode = given.getOrDefault("--mode", "");
    int[] defaults = switch (mode) {
      case "fast" -> new int[] {1, 8, 0};
      case "contended" -> new int[] {32, 16, 100};
      case "spike" -> new int[] {50, 50, 2000};
      default -> refuse("--mode is fast, contended or spike");
    };
    int threads = (int) number(given, "--threads", defaults[0], 1);
    int resources = (int) number(given, "--resources", defaults[1], 1);
    long holdNs = (long) (number(given, "--hold-us", defaults[2], 0) * 1e3);
    long milliseconds = (long) (number(given, "--seconds", 3, 0) * 1e3);

    StubDataSource server = new StubDataSource(0);
    HikariDataSource pool = open(server, resources, resources);
    Tally[] tallies;
    String extra = "";
    if (mode.equals("fast")) {
      HikariDataSource measured = pool;
      tallies = onThreads(threads, tally -> fast(measured, tally), () -> {
        Thread.sleep(WARM_UP_MS);
        enter(WARMING_TIMED);
        Thread.sleep(TIMED_MS);
        long from = enter(COUNTING);
        Thread.sleep(milliseconds);
        long to = enter(TIMING);
        Thread.sleep(TIMED_MS);
        enter(STOPPED);
        return to - from;
      });
    } else {
      HikariDataSource measured = pool;
      tallies = onThreads(threads, tally -> contended(measured, holdNs, tally), () -> {
        Thread.sleep(WARM_UP_MS);
        long from = enter(COUNTING);
        if (mode.equals("contended")) Thread.sleep(milliseconds); // else this is the warm-up of a spike
        return enter(STOPPED) - from;
      });
    }
    if (mode.equals("spike")) {
      pool.close();
      server = new StubDataSource(SPIKE_CONNECT_MS);
      pool = open(server, resources, SPIKE_WARM);
      HikariDataSource measured = pool;
      CyclicBarrier gate = new CyclicBarrier(threads);
      tallies = onThreads(threads, tally -> spike(measured, holdNs, gate, tally), () -> 0);
    }
    long begun = server.begun.get();
    long opened = server.opened.get();
    if (mode.equals("spike")) {
      long from = tallies[0].from;
      long to = tallies[0].to;
      for (Tally tally : tallies) {
        if (tally.from - from < 0) from = tally.from;
        if (tally.to - to > 0) to = tally.to;
      }
      elapsed = to - from;
      Thread.sleep(1000); // so that what is being opened gets counted too
      extra = String.format(Locale.ROOT, ",\"all_done_ms\":%.2f,\"begun\":%d,\"opened_later\":%d", elapsed / 1e6, begun, server.opened.get());
    }
    report(mode, threads, resources, tallies, opened, extra);
    System.exit(0);
  }

  private static void report(String mode, int threads, int resources, Tally[] tallies, long opened, String extra) throws Exception {
    Histogram times = new Histogram();
    long cycles = 0;
    long held = 0;
    long fewest = Long.MAX_VALUE;
    long most = 1;
    for (Tally tally : tallies) {
      times.add(tally.times);
      cycles += tally.cycles;
      held += tally.held;
      fewest = Math.min(fewest, tally.cycles);
      most = Math.max(most, tally.cycles);
    }
    if (!mode.equals("fast")) extra = String.format(Locale.ROOT, ",\"held_us\":%.1f", held / 1e3 / Math.max(cycles, 1)) + extra;
    System.out.println(String.format(Locale.ROOT,
        "{\"peer\":\"hikaricp\",\"version\":\"%s\",\"mode\":\"%s\",\"threads\":%d,\"resources\":%d,\"cycles_per_s\":%.0f,"
            + "\"p50_ns\":%d,\"p99_ns\":%d,\"p999_ns\":%d,\"max_ns\":%d,\"share_min_max\":%.4f,\"opened\":%d%s,\"clock_ns\":%.1f}",
        version(), mode, threads, resources, cycles * 1e9 / elapsed, times.quantile(0.5), times.quantile(0.99),
        times.quantile(0.999), times.max(), (double) fewest / most, opened, extra, clockNs()));
  }

  private static String version() throws Exception {
    try (InputStream stream = HikariConfig.class.getResourceAsStream("/META-INF/maven/com.zaxxer/HikariCP/pom.properties")) {
      Properties properties = new Properties();
      if (stream != null) properties.load(stream);
      return properties.getProperty("version", "?");
    }
  }

  private static double clockNs() {
    int readings = 1_000_000;
    double best = Double.MAX_VALUE;
    for (int round = 0; round < 10; round++) {
      long from = System.nanoTime();
      for (int i = 0; i < readings; i++) System.nanoTime();
      best = Math.min(best, (double) (System.nanoTime() - from) / readings);
    }
    return best;
  }

  private static double number(Map<String, String> given, String name, double otherwise, double least) {
    try {
      double value = Double.parseDouble(given.getOrDefault(name, Double.toString(otherwise)));
      if (value >= least && value <= 1e6) return value;
    } catch (NumberFormatException e) {
      // refused below
    }
    refuse(name + " is a number from " + (int) least + " to 1000000, not '" + given.get(name) + "'");
    return 0;
  }

  private static int[] refuse(String message) {
    System.err.println("PoolPeer: " + message);
    System.err.println("usage: PoolPeer --mode fast|contended|spike [--threads N] [--resources M] [--hold-us U] [--seconds S]");
    System.exit(2);
    return new int[0];
  }
}
