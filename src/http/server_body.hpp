// SPDX-License-Identifier: Apache-2.0
// What http_server asks of its body, whatever executor that is made for.
#pragma once

#include "server_shared.hpp"

#include <spillway/core/deadline.hpp>
#include <spillway/http/http_server.hpp>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <utility>

namespace spillway::detail {

class server_body {
 public:
  enum class life : std::uint8_t { made, started, stopped };

  explicit server_body(std::shared_ptr<server_shared> given) : shared{std::move(given)} {}
  virtual ~server_body() = default;

  virtual void start() = 0;
  virtual void drain(deadline until) = 0;
  virtual void stop() = 0;
  [[nodiscard]] virtual std::size_t lane_count() const noexcept = 0;
  [[nodiscard]] virtual bool on_own_thread() const noexcept = 0;

  const std::shared_ptr<server_shared> shared;
  http_endpoint local;

  std::mutex lifecycle;  // start, stop and the begin of a drain exclude each other
  life state{life::made};  // guarded by it
};

}  // namespace spillway::detail
