// SPDX-License-Identifier: Apache-2.0
#include <spillway/core/io_runner.hpp>

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>

#include <fmt/format.h>
#include <pthread.h>

#include <atomic>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <thread>

namespace spillway {

namespace {

using work_guard = boost::asio::executor_work_guard<boost::asio::io_context::executor_type>;

struct guarded_context {
  explicit guarded_context(int concurrency) : context{concurrency}, guard{work_guard{context.get_executor()}} {}
  boost::asio::io_context context;
  std::optional<work_guard> guard;
};

}  // namespace

struct io_runner::impl {
  explicit impl(const io_runner_config& given) : config{given} {
    constexpr std::size_t most_threads{1024};
    if (config.threads > most_threads) {
      throw std::invalid_argument(
          fmt::format("io_runner_config.threads is {}; it must be in [0, {}]", config.threads, most_threads));
    }
    if (config.threads == 0) config.threads = std::max(1U, std::thread::hardware_concurrency());
    const bool shared = config.shape == runner_shape::shared_context;
    const std::size_t count = shared ? 1 : config.threads;
    // The hint 1 would let Asio leave out the wake-up of a second thread; it may still be posted to from outside.
    const int concurrency = shared ? static_cast<int>(config.threads) : 1;
    for (std::size_t i = 0; i < count; ++i) contexts.push_back(std::make_unique<guarded_context>(concurrency));
  }

  void run(boost::asio::io_context& context) {
    if (!config.on_exception) {
      context.run();
      return;
    }
    for (;;) {
      try {
        context.run();
        return;
      } catch (...) {
        config.on_exception(std::current_exception());
      }
    }
  }

  void join() noexcept {
    for (auto& thread : threads) thread.join();
    threads.clear();
  }

  io_runner_config config;
  std::vector<std::unique_ptr<guarded_context>> contexts;
  std::vector<std::thread> threads;
  std::mutex lifecycle;  // start, stop and drain exclude each other
  std::atomic<std::size_t> turn{0};
};

io_runner::io_runner(const io_runner_config& config) : impl_{std::make_unique<impl>(config)} {}
io_runner::~io_runner() { stop(); }

void io_runner::start() {
  const std::scoped_lock lock{impl_->lifecycle};
  if (!impl_->threads.empty()) return;
  try {
    for (std::size_t i = 0; i < impl_->config.threads; ++i) {
      auto& context = impl_->contexts[i % impl_->contexts.size()]->context;
      impl_->threads.emplace_back([this, &context] { impl_->run(context); });
      const auto name = impl_->config.thread_name.substr(0, 15);
      ::pthread_setname_np(impl_->threads.back().native_handle(), name.c_str());
    }
  } catch (...) {
    for (auto& one : impl_->contexts) one->context.stop();
    impl_->join();
    throw;
  }
}

void io_runner::stop() noexcept {
  const std::scoped_lock lock{impl_->lifecycle};
  for (auto& one : impl_->contexts) one->context.stop();
  impl_->join();
}

void io_runner::drain() noexcept {
  std::vector<std::thread> threads;
  {
    const std::scoped_lock lock{impl_->lifecycle};
    for (auto& one : impl_->contexts) one->guard.reset();
    threads.swap(impl_->threads);
  }
  // Joined without the lock, so that a `stop` from elsewhere can end a drain that takes too long.
  for (auto& thread : threads) thread.join();
}

boost::asio::any_io_executor io_runner::executor() noexcept {
  const auto index = impl_->turn.fetch_add(1, std::memory_order_relaxed) % impl_->contexts.size();
  return impl_->contexts[index]->context.get_executor();
}

boost::asio::io_context& io_runner::context(std::size_t index) noexcept { return impl_->contexts[index]->context; }
std::size_t io_runner::context_count() const noexcept { return impl_->contexts.size(); }
std::size_t io_runner::thread_count() const noexcept { return impl_->config.threads; }

}  // namespace spillway
