// SPDX-License-Identifier: Apache-2.0
#include "call_chain.hpp"

#include <boost/system/system_error.hpp>

#include <algorithm>
#include <array>
#include <utility>

namespace spillway {

boost::asio::awaitable<http_response> http_next::operator()(http_request& request) const {
  return chain_->async_run(request, position_);
}

namespace detail {

namespace {

template <class T>
[[nodiscard]] const T* as(const http_middleware& middleware) noexcept {
  return std::get_if<T>(&middleware.get());
}

}  // namespace

call_chain::call_chain(const http_handler& handler, std::vector<const http_middleware*> around, const log_sink& log)
    : handler_{handler},
      around_{std::move(around)},
      log_{log},
      waits_{std::holds_alternative<http_handler::coroutine>(handler.get()) ||
             std::any_of(around_.begin(), around_.end(),
                         [](const auto* one) { return as<http_middleware::around_function>(*one) != nullptr; })} {}

http_response call_chain::run(http_request& request) const {
  std::optional<http_response> response;
  const auto position = enter(request, 0, response);
  if (!response) {
    try {
      response = std::get<http_handler::function>(handler_.get())(request);
    } catch (...) {
      response = failure(request);
    }
  }
  leave(request, position, 0, *response);
  return std::move(*response);
}

boost::asio::awaitable<http_response> call_chain::async_run(http_request& request, std::size_t first) const {
  std::optional<http_response> response;
  const auto position = enter(request, first, response);
  if (!response) {
    try {
      if (position < around_.size()) {
        const http_next next{*this, position + 1};
        auto pending = (*as<http_middleware::around_function>(*around_[position]))(request, next);
        response = co_await std::move(pending);
      } else if (const auto* coroutine = std::get_if<http_handler::coroutine>(&handler_.get())) {
        auto pending = (*coroutine)(request);
        response = co_await std::move(pending);
      } else {
        response = std::get<http_handler::function>(handler_.get())(request);
      }
    } catch (...) {
      response = failure(request);
    }
  }
  leave(request, position, first, *response);
  co_return std::move(*response);
}

std::size_t call_chain::enter(http_request& request, std::size_t position, std::optional<http_response>& response) const {
  for (; position < around_.size(); ++position) {
    const auto& middleware = *around_[position];
    if (as<http_middleware::around_function>(middleware) != nullptr) break;
    const auto* before = as<http_middleware::before_function>(middleware);
    if (before == nullptr) continue;
    try {
      response = (*before)(request);
    } catch (...) {
      response = failure(request);
    }
    if (response) break;
  }
  return position;
}

void call_chain::leave(const http_request& request, std::size_t position, std::size_t first, http_response& response) const {
  while (position-- > first) {
    const auto* after = as<http_middleware::after_function>(*around_[position]);
    if (after == nullptr) continue;
    try {
      (*after)(request, response);
    } catch (...) {
      response = failure(request);
    }
  }
}

http_response call_chain::failure(const http_request& request) const {
  std::string_view what{"unknown exception"};
  std::optional<http_response> response;
  const auto report = [&] {
    if (!log_) return;
    const std::array<log_field, 3> fields{{{"route", request.route()}, {"request_id", request.request_id()}, {"error", what}}};
    log_({log_level::error, "http", "a handler threw", fields});
  };
  try {
    throw;
  } catch (const boost::system::system_error& thrown) {
    what = thrown.what();
    const int status = http_status_of(thrown.code());
    if (status == 503 || status == 504) response = http_response::problem(request, thrown.code());
    report();
  } catch (const std::exception& thrown) {
    what = thrown.what();
    report();
  } catch (...) {
    report();
  }
  return response ? std::move(*response) : http_response::problem(request, 500);
}

}  // namespace detail
}  // namespace spillway
