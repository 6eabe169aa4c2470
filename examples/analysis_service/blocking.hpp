// SPDX-License-Identifier: Apache-2.0
/// @file
/// Blocking work, awaited from a coroutine that must not block.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/associated_executor.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/dispatch.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <exception>
#include <type_traits>
#include <utility>

namespace analysis {

/// Runs `work()` on an executor whose threads may block, and resumes where the coroutine was. `work` returns a value that can be
/// default-constructed and moved; what it throws is thrown here. Name it before the co_await (g++ 12). It is not cancelled: the coroutine waits
/// for its end, so it may refer to the coroutine's variables.
template <class F>
[[nodiscard]] boost::asio::awaitable<std::invoke_result_t<F&>> run_blocking(boost::asio::any_io_executor blocking, F& work) {
  namespace asio = boost::asio;
  using value = std::invoke_result_t<F&>;
  auto initiation = [blocking = std::move(blocking), &work](auto handler) mutable {
    auto home = asio::get_associated_executor(handler, blocking);
    auto guard = asio::make_work_guard(home);
    asio::post(blocking, [&work, handler = std::move(handler), home, guard = std::move(guard)]() mutable {
      std::exception_ptr thrown;
      value outcome{};
      try {
        outcome = work();
      } catch (...) {
        thrown = std::current_exception();
      }
      asio::dispatch(home, [handler = std::move(handler), thrown, outcome = std::move(outcome)]() mutable {
        std::move(handler)(thrown, std::move(outcome));
      });
    });
  };
  return asio::async_initiate<const asio::use_awaitable_t<>, void(std::exception_ptr, value)>(std::move(initiation), asio::use_awaitable);
}

}  // namespace analysis
