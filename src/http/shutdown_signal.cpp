// SPDX-License-Identifier: Apache-2.0
#include <spillway/http/shutdown_signal.hpp>

#include <boost/asio/any_completion_executor.hpp>
#include <boost/asio/associated_executor.hpp>
#include <boost/asio/dispatch.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/prefer.hpp>
#include <boost/asio/signal_set.hpp>

#include <csignal>
#include <future>
#include <mutex>
#include <optional>
#include <vector>

namespace spillway {

namespace asio = boost::asio;

struct shutdown_signal::impl : std::enable_shared_from_this<shutdown_signal::impl> {
  struct waiter {
    asio::any_completion_handler<void(int)> done;
    asio::any_completion_executor executor;  // kept busy until the handler is called
    asio::any_io_executor io_executor;

    /// Never calls the handler from within.
    void tell(int number) {
      auto call = [handler = std::move(done), number]() mutable { std::move(handler)(number); };
      asio::post(io_executor, [to = std::move(executor), call = std::move(call)]() mutable { asio::dispatch(to, std::move(call)); });
    }
  };

  explicit impl(asio::any_io_executor executor) : signals{executor, SIGTERM, SIGINT} {}

  void arm() {
    signals.async_wait([self = shared_from_this()](const boost::system::error_code& ec, int number) {
      self->came(ec ? 0 : number);
    });
  }

  void came(int number) {
    std::vector<waiter> told;
    {
      const std::scoped_lock lock{mutex};
      if (seen) return;
      seen = number;
      boost::system::error_code ignored;
      signals.clear(ignored);   // the next one ends the program
      signals.cancel(ignored);  // a wait that is cleared of its signals would never end
      told.swap(waiters);
    }
    for (auto& one : told) one.tell(number);
  }

  std::mutex mutex;  // guards all below
  asio::signal_set signals;
  std::optional<int> seen;
  std::vector<waiter> waiters;
};

shutdown_signal::shutdown_signal(asio::any_io_executor executor) : impl_{std::make_shared<impl>(std::move(executor))} { impl_->arm(); }

shutdown_signal::~shutdown_signal() { impl_->came(0); }

void shutdown_signal::begin_wait(asio::any_completion_handler<void(int)> done) {
  const auto executor = asio::get_associated_executor(done, impl_->signals.get_executor());
  impl::waiter asking{std::move(done), asio::prefer(executor, asio::execution::outstanding_work.tracked), impl_->signals.get_executor()};
  {
    const std::scoped_lock lock{impl_->mutex};
    if (!impl_->seen) {
      impl_->waiters.push_back(std::move(asking));
      return;
    }
  }
  asking.tell(*impl_->seen);
}

int shutdown_signal::wait() {
  std::promise<int> promise;
  auto future = promise.get_future();
  begin_wait([&promise](int number) { promise.set_value(number); });
  return future.get();
}

}  // namespace spillway
