// SPDX-License-Identifier: Apache-2.0
// A million cancellations at random moments: does the pool lose a resource, a permit or an answer, or ever have more than it may? Many short pools one
// after the other, each with a connector that fails, hangs, and loses its resources; each drained while it is still asked.
//   pool_cancel_bench [CANCELS] [MOST_SECONDS]
#include <spillway/core/io_runner.hpp>
#include <spillway/pool/pool.hpp>

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/strand.hpp>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <mutex>
#include <random>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace {

using namespace spillway;
using namespace std::chrono_literals;
namespace asio = boost::asio;
using clock_type = std::chrono::steady_clock;

constexpr std::size_t most_resources{4};
constexpr int most_in_flight{120};
constexpr std::uint64_t cancels_of_a_pool{10'000};
constexpr std::chrono::milliseconds connect_timeout{50};
constexpr std::chrono::microseconds too_late{60'000};  // but not twice as long: then the pool forgets it, and what it brings is not counted in `max`

/// Where a call was when its cancellation came.
enum class moment { queued, queued_while_opening, queued_while_pinging, queued_while_draining, granted, refused, held, given_back, count };
constexpr std::array names{"in the queue, all lent", "in the queue, one being opened", "in the queue, one being pinged", "in the queue, the pool draining",
                           "granted, the handler not called yet", "refused, the handler not called yet", "holding a resource", "done"};
static_assert(names.size() == static_cast<std::size_t>(moment::count));

template <class T>
void raise_to(std::atomic<T>& most, T value) {
  for (auto seen = most.load(); seen < value && !most.compare_exchange_weak(seen, value);) {
  }
}

struct resource {
  int number{0};
};

/// What all pools of the run have done.
struct totals {
  std::array<std::atomic<std::uint64_t>, static_cast<std::size_t>(moment::count)> cancels{};
  std::atomic<std::uint64_t> calls{0};
  std::atomic<std::uint64_t> answers{0};
  std::atomic<std::uint64_t> answered_again{0};
  std::atomic<std::uint64_t> blocking_calls{0};
  std::atomic<std::uint64_t> blocking_timeouts{0};
  std::atomic<std::int64_t> opened{0};
  std::atomic<std::int64_t> open_failures{0};
  std::atomic<std::int64_t> closed{0};
  std::atomic<std::int64_t> handlers_alive{0};
  std::atomic<std::int64_t> most_at_once{0};
  std::uint64_t lost_permits{0};
  std::uint64_t unclean_drains{0};

  [[nodiscard]] std::uint64_t in_flight_cancels() const {
    std::uint64_t sum{0};
    for (std::size_t i = 0; i < static_cast<std::size_t>(moment::given_back); ++i) sum += cancels[i];
    return sum;
  }
};

std::mt19937_64& random_of_thread() {
  static std::atomic<std::uint64_t> next{0};
  static const std::uint64_t seed = [] {
    const std::uint64_t drawn{std::random_device{}()};
    std::printf("seed %llu\n", static_cast<unsigned long long>(drawn));
    return drawn;
  }();
  static thread_local std::mt19937_64 mine{seed + next++};
  return mine;
}
std::uint64_t random_below(std::uint64_t most) { return random_of_thread()() % most; }

/// Opens at once, later, too late or not at all; pings answer at once, later or too late; one resource in a hundred breaks, or cannot be cleaned.
class moody_connector final : public pool_connector<resource>, public std::enable_shared_from_this<moody_connector> {
 public:
  moody_connector(totals& all, asio::any_io_executor executor) : all_{all}, executor_{std::move(executor)} {}

  void open(open_request<resource> request) override {
    ++opening;
    const auto mood = random_below(100);
    if (mood < 10) {
      answer_later(0us, std::move(request), false);
    } else if (mood < 12) {
      // Dropped unanswered.
      --opening;
      ++all_.open_failures;
    } else if (mood < 13) {
      answer_later(too_late, std::move(request), true);  // after its deadline, but not long enough to be forgotten
    } else if (mood < 60) {
      answer_later(std::chrono::microseconds{random_below(500)}, std::move(request), true);
    } else {
      answer(std::move(request), true);
    }
  }
  bool is_reusable(resource&) noexcept override { return random_below(100) != 0; }
  void ping(resource&, ping_request request) override {
    ++pinging;
    const auto mood = random_below(100);
    const auto after = mood < 1 ? too_late : std::chrono::microseconds{mood < 50 ? 0 : random_below(300)};
    auto timer = std::make_shared<asio::steady_timer>(executor_, after);
    timer->async_wait([this, self = shared_from_this(), timer, alive = mood % 20 != 0, kept = std::make_shared<ping_request>(std::move(request))](const error_code&) {
      --pinging;
      kept->done(alive);
    });
  }
  bool reset(resource&) noexcept override { return random_below(100) != 0; }
  void close(resource&) noexcept override {
    --open_;
    ++all_.closed;
  }

  std::atomic<int> opening{0};
  std::atomic<int> pinging{0};

 private:
  void answer_later(std::chrono::microseconds after, open_request<resource> request, bool well) {
    auto timer = std::make_shared<asio::steady_timer>(executor_, after);
    timer->async_wait([this, self = shared_from_this(), timer, well, kept = std::make_shared<open_request<resource>>(std::move(request))](const error_code&) {
      answer(std::move(*kept), well);
    });
  }
  void answer(open_request<resource> request, bool well) {
    --opening;
    if (!well) {
      ++all_.open_failures;
      request.fail({make_error_code(boost::system::errc::connection_refused), {}});
      return;
    }
    ++all_.opened;
    raise_to<std::int64_t>(all_.most_at_once, ++open_);
    request.succeed({number_++});
  }

  totals& all_;
  asio::any_io_executor executor_;
  std::atomic<std::int64_t> open_{0};
  std::atomic<int> number_{0};
};

/// Counts how many of it there are.
struct counted {
  explicit counted(std::atomic<std::int64_t>& alive) noexcept : alive_{&alive} { ++*alive_; }
  counted(const counted& other) noexcept : alive_{other.alive_} { ++*alive_; }
  counted& operator=(const counted&) = delete;
  ~counted() { --*alive_; }
  std::atomic<std::int64_t>* alive_;
};

/// One pool, from its first call to its last.
class storm {
 public:
  storm(totals& all, asio::any_io_executor executor)
      : all_{all}, executor_{executor}, connector_{std::make_shared<moody_connector>(all, executor)}, pool_{config(), connector_, executor} {}

  void run(std::uint64_t cancels, clock_type::time_point until) {
    const auto before = all_.in_flight_cancels();
    const auto enough = [&] { return all_.in_flight_cancels() - before >= cancels || clock_type::now() >= until; };
    std::vector<std::thread> threads;
    std::atomic<bool> stop{false};
    for (int t = 0; t < 2; ++t) threads.emplace_back([&] { block(stop); });
    while (!enough()) start_some();
    // Half of the pools come to rest first, and must then have everything to lend.
    if (random_below(2) == 0) {
      stop = true;
      for (auto& thread : threads) thread.join();
      threads.clear();
      wait_for_answers();
      count_permits();
    }
    for (int i = 0; i < most_in_flight; ++i) start_some();
    draining_ = true;
    std::thread drainer{[&] {
      if (!pool_.drain_for(1min)) ++all_.unclean_drains;
    }};
    for (int i = 0; i < most_in_flight; ++i) start_some();
    drainer.join();
    stop = true;
    for (auto& thread : threads) thread.join();
    wait_for_answers();
    const auto stats = pool_.stats();
    if (stats.lent + stats.waiting + stats.idle + stats.opening + stats.pinging + stats.lost != 0) ++all_.unclean_drains;
  }

 private:
  struct call {
    call(const asio::any_io_executor& executor, totals& all) : strand{asio::make_strand(executor)}, alive{all.handlers_alive} {}
    asio::strand<asio::any_io_executor> strand;
    asio::cancellation_signal signal;
    pool_lease<resource> lease;
    counted alive;
    moment now{moment::queued};
    bool cancelled{false};
    bool answered{false};
  };

  static pool_config config() {
    pool_config made;
    made.max = most_resources;
    made.max_waiters = 100;
    made.connect_timeout = connect_timeout;
    made.reconnect = {1ms, 5ms};
    made.idle_timeout = 10ms;
    made.max_lifetime = 30ms;
    made.ping_after_idle = 1ms;
    made.keepalive = 10ms;
    made.slow_acquire = 0ms;
    return made;
  }

  void start_some() {
    while (in_flight_ >= most_in_flight) std::this_thread::yield();
    ++in_flight_;
    ++all_.calls;
    auto one = std::make_shared<call>(executor_, all_);
    acquire_options options{std::chrono::microseconds{random_below(8) == 0 ? random_below(300) : 1'000 + random_below(50'000)}};
    if (random_below(16) == 0) options.priority = pool_priority::critical;
    asio::post(one->strand, [this, one, options] {
      auto handler = [this, one](result<pool_lease<resource>, pool_error> got) { answered(one, std::move(got)); };
      pool_.async_acquire(options, asio::bind_cancellation_slot(one->signal.slot(), asio::bind_executor(one->strand, std::move(handler))));
      if (random_below(8) != 0) cancel_after(one, random_below(6));
    });
    if (random_below(2'000) == 0) pool_.invalidate();
  }

  /// Some turns of its strand later; others run between.
  void cancel_after(const std::shared_ptr<call>& one, std::uint64_t turns) {
    asio::post(one->strand, [this, one, turns] {
      if (turns > 0 && !one->answered) return cancel_after(one, turns - 1);
      auto where = one->now;
      if (where == moment::queued) {
        where = draining_              ? moment::queued_while_draining
                : connector_->opening > 0 ? moment::queued_while_opening
                : connector_->pinging > 0 ? moment::queued_while_pinging
                                          : moment::queued;
        one->now = where;  // until its handler says that it came too late
        one->cancelled = true;
      } else {
        ++all_.cancels[static_cast<std::size_t>(where)];
      }
      one->signal.emit(asio::cancellation_type::terminal);
    });
  }

  void answered(const std::shared_ptr<call>& one, result<pool_lease<resource>, pool_error> got) {
    if (std::exchange(one->answered, true)) ++all_.answered_again;
    ++all_.answers;
    const bool by_cancelling = !got && got.error() == pool_errc::cancelled;
    if (one->cancelled) ++all_.cancels[static_cast<std::size_t>(by_cancelling ? one->now : got ? moment::granted : moment::refused)];
    if (!got) {
      one->now = moment::given_back;
      --in_flight_;
      return;
    }
    one->now = moment::held;
    one->lease = std::move(*got);
    hold(one, random_below(4));
  }

  void hold(const std::shared_ptr<call>& one, std::uint64_t turns) {
    asio::post(one->strand, [this, one, turns] {
      if (turns > 0) return hold(one, turns - 1);
      if (random_below(100) == 0) one->lease.discard();
      else if (random_below(4) != 0 || !one->lease.hand_over()) one->lease.release();
      one->now = moment::given_back;
      --in_flight_;
    });
  }

  /// A thread that has little patience.
  void block(const std::atomic<bool>& stop) {
    while (!stop) {
      ++all_.blocking_calls;
      const auto lease = pool_.acquire_for(std::chrono::microseconds{random_below(400)});
      if (!lease && lease.error() == pool_errc::timed_out) ++all_.blocking_timeouts;
      if (!lease) std::this_thread::sleep_for(std::chrono::microseconds{random_below(100)});
    }
  }

  void wait_for_answers() const {
    while (in_flight_ > 0) std::this_thread::yield();
  }

  void count_permits() {
    std::vector<pool_lease<resource>> all;
    const auto until = clock_type::now() + 20s;
    while (all.size() < most_resources && clock_type::now() < until) {
      if (auto one = pool_.acquire_for(1s)) all.push_back(std::move(*one));
    }
    all_.lost_permits += most_resources - all.size();
  }

  totals& all_;
  asio::any_io_executor executor_;
  std::shared_ptr<moody_connector> connector_;
  pool<resource> pool_;
  std::atomic<int> in_flight_{0};
  std::atomic<bool> draining_{false};
};

bool all_met{true};

void goal(const char* id, double measured, const char* relation, double target) {
  const bool met = relation[0] == '<' ? measured <= target : measured >= target;
  std::printf("goal %s %.0f %s %.0f %s\n", id, measured, relation, target, met ? "met" : "missed");
  all_met = all_met && met;
}

}  // namespace

int main(int count, char** arguments) {
  std::vector<std::uint64_t> numbers;
  for (int i = 1; i < count; ++i) {
    if (const auto number = std::atoll(arguments[i]); number > 0) numbers.push_back(static_cast<std::uint64_t>(number));
  }
  const auto wanted = numbers.empty() ? 1'000'000 : numbers[0];
  const auto began = clock_type::now();
  const auto until = began + std::chrono::seconds{numbers.size() > 1 ? numbers[1] : 900};

  totals all;
  int pools{0};
  {
    io_runner_config threads;
    threads.threads = 2;
    threads.shape = runner_shape::shared_context;
    io_runner runner{threads};
    runner.start();
    for (; all.in_flight_cancels() < wanted && clock_type::now() < until; ++pools) {
      storm one{all, runner.executor()};
      one.run(std::min(cancels_of_a_pool, wanted - all.in_flight_cancels()), until);
    }
    runner.drain();  // with what hangs still
  }
  const std::chrono::duration<double> took = clock_type::now() - began;

  std::printf("%d pools of at most %zu, %.1f s: %llu calls of coroutines' kind, %llu of threads (%llu timed out); %lld resources opened, %lld openings "
              "failed\n", pools, most_resources, took.count(), static_cast<unsigned long long>(all.calls.load()),
              static_cast<unsigned long long>(all.blocking_calls.load()), static_cast<unsigned long long>(all.blocking_timeouts.load()),
              static_cast<long long>(all.opened.load()), static_cast<long long>(all.open_failures.load()));
  std::printf("cancelled while:\n");
  std::uint64_t least{~std::uint64_t{0}};
  for (std::size_t i = 0; i < names.size(); ++i) {
    std::printf("  %-38s %10llu\n", names[i], static_cast<unsigned long long>(all.cancels[i].load()));
    if (i != static_cast<std::size_t>(moment::given_back)) least = std::min(least, all.cancels[i].load());
  }
  goal("P3-cancels", static_cast<double>(all.in_flight_cancels()), ">=", static_cast<double>(wanted));
  goal("P3-least-in-a-state", static_cast<double>(least), ">=", 100);
  goal("P3-most-resources", static_cast<double>(all.most_at_once.load()), "<=", static_cast<double>(most_resources));
  goal("P3-leaked-resources", static_cast<double>(all.opened - all.closed), "<=", 0);
  goal("P3-leaked-handlers", static_cast<double>(all.handlers_alive.load()), "<=", 0);
  goal("P3-lost-permits", static_cast<double>(all.lost_permits), "<=", 0);
  goal("P3-lost-answers", static_cast<double>(all.calls - all.answers), "<=", 0);
  goal("P3-answers-twice", static_cast<double>(all.answered_again.load()), "<=", 0);
  goal("P3-unclean-drains", static_cast<double>(all.unclean_drains), "<=", 0);
  return all_met ? 0 : 1;
}
