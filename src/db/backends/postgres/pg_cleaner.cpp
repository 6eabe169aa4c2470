// SPDX-License-Identifier: Apache-2.0
#include "pg_cleaner.hpp"

#include <array>
#include <atomic>
#include <future>
#include <system_error>
#include <thread>
#include <utility>

namespace spillway::detail {

namespace {

struct free_cancel {
  void operator()(PGcancel* cancel) const noexcept { PQfreeCancel(cancel); }
};

}  // namespace

struct pg_canceller::counter {
  std::atomic<int> value{0};
};

std::shared_ptr<pg_canceller::counter> pg_canceller::make_counter() { return std::make_shared<counter>(); }

bool pg_canceller::cancel(PGconn* connection, deadline until) {
  auto sent = send(connection);
  return sent.valid() && sent.wait_for(until.remaining(system_clock_source().now())) == std::future_status::ready && sent.get();
}

std::future<bool> pg_canceller::send(PGconn* connection) {
  std::unique_ptr<PGcancel, free_cancel> request{PQgetCancel(connection)};
  if (!request) return {};
  if (hanging_->value.fetch_add(1, std::memory_order_relaxed) >= most_hanging) {
    hanging_->value.fetch_sub(1, std::memory_order_relaxed);
    return {};
  }
  std::promise<bool> answer;
  auto sent = answer.get_future();
  try {
    std::thread{[request = std::move(request), answer = std::move(answer), hanging = hanging_]() mutable {
      std::array<char, 256> why{};
      const bool done = PQcancel(request.get(), why.data(), static_cast<int>(why.size())) == 1;
      request.reset();
      hanging->value.fetch_sub(1, std::memory_order_relaxed);
      answer.set_value(done);
    }}.detach();
  } catch (const std::system_error&) {  // no thread to be had
    hanging_->value.fetch_sub(1, std::memory_order_relaxed);
    return {};
  }
  return sent;
}

pg_cleaner::~pg_cleaner() { stop(); }

void pg_cleaner::clean(pg_connection& connection, boost::asio::any_completion_handler<void()> done) {
  {
    const std::scoped_lock lock{mutex_};
    if (idle_ <= jobs_.size() && threads_.size() < most_threads) {
      try {
        threads_.emplace_back([this] { work(); });
      } catch (const std::system_error&) {  // those there are will do it, if any
      }
    }
    if (!threads_.empty()) {
      jobs_.push_back({&connection, std::move(done)});
      changed_.notify_one();
      return;
    }
  }
  connection.abandon();
  std::move(done)();
}

void pg_cleaner::stop() {
  {
    const std::scoped_lock lock{mutex_};
    stopped_ = true;
  }
  changed_.notify_all();
  for (auto& thread : threads_) {
    if (thread.joinable()) thread.join();
  }
}

void pg_cleaner::work() {
  std::unique_lock lock{mutex_};
  for (;;) {
    ++idle_;
    changed_.wait(lock, [this] { return stopped_ || !jobs_.empty(); });
    --idle_;
    if (jobs_.empty()) return;
    auto next = std::move(jobs_.front());
    jobs_.pop_front();
    lock.unlock();
    try {
      next.connection->clean([this](PGconn* connection, deadline until) { return canceller_.cancel(connection, until); });
    } catch (...) {
      next.connection->abandon();
    }
    std::move(next.done)();
    lock.lock();
  }
}

}  // namespace spillway::detail
