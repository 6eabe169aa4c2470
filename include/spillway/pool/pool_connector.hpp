// SPDX-License-Identifier: Apache-2.0
/// @file
/// How a pool makes, checks and ends its resources: what a driver implements.
#pragma once

#include <spillway/core/deadline.hpp>
#include <spillway/core/error.hpp>
#include <spillway/core/result.hpp>
#include <spillway/pool/detail/pool_state.hpp>

#include <memory>
#include <string>
#include <system_error>
#include <utility>

namespace spillway {

/// Why a resource could not be opened.
struct open_failure {
  error_code code;
  std::string text;  ///< For people: what the other side said.
};

template <class Resource>
class pool_connector;

/// The wish for one resource, to be answered once, from any thread, also within `pool_connector::open`. Dropping it is a failure.
template <class Resource>
class open_request {
 public:
  open_request(detail::open_ticket ticket, std::weak_ptr<pool_connector<Resource>> connector) noexcept
      : ticket_{std::move(ticket)}, connector_{std::move(connector)} {}
  open_request(open_request&&) noexcept = default;

  /// An answer after this is taken, but nobody has waited for it.
  [[nodiscard]] deadline until() const noexcept { return ticket_.until(); }
  void succeed(Resource resource) {
    auto opened = std::make_unique<Resource>(std::move(resource));
    if (ticket_.succeed(opened.get())) {
      (void)opened.release();
    } else if (const auto connector = connector_.lock()) {
      connector->close(*opened);  // the pool is gone
    }
  }
  void fail(open_failure why) { ticket_.fail(why.code, std::move(why.text)); }

 private:
  detail::open_ticket ticket_;
  std::weak_ptr<pool_connector<Resource>> connector_;
};

/// The question whether a resource still works, to be answered once; dropping it answers no. If the pool is gone, an answer closes the resource.
class ping_request {
 public:
  explicit ping_request(detail::ping_ticket ticket) noexcept : ticket_{std::move(ticket)} {}

  [[nodiscard]] deadline until() const noexcept { return ticket_.until(); }
  void done(bool alive) { ticket_.done(alive); }

 private:
  detail::ping_ticket ticket_;
};

/// Makes and ends resources without blocking. For a library that blocks, see blocking_connector.
///
/// Threads: `open` and `ping` are called one at a time or together from any thread that uses the pool, so they only start the work; the
///          others are called by whoever holds the resource. What `open` throws counts as a failed opening.
template <class Resource>
class pool_connector {
 public:
  virtual ~pool_connector() = default;

  virtual void open(open_request<Resource> request) = 0;
  /// Looks at a resource before it is lent, without a round trip: has the other side closed? Must not block.
  virtual bool is_reusable(Resource&) noexcept { return true; }
  /// Asks the other side, with a round trip. Nobody else has the resource meanwhile.
  virtual void ping(Resource& resource, ping_request request) { request.done(is_reusable(resource)); }
  /// Cleans what the borrower left behind; false closes the resource. Must not block.
  virtual bool reset(Resource&) noexcept { return true; }
  /// Ends a resource that is no longer wanted. Its destructor runs after this. Must not block for long, see blocking_connector.
  virtual void close(Resource&) noexcept {}
};

/// As pool_connector, with calls that may block: `open` and `ping` each run on a thread of their own, so that one that hangs holds up
/// nobody else. Where no thread can be started, an opening fails and a look replaces the ping. A thread that never returns outlives the pool; it
/// must own all it uses.
///
/// Threads: `close`, and the destructor of the resource, run on the thread that found it to be no longer wanted: of a borrower, of a caller or of
///          the timer; after everybody was told what is for him. They say goodbye but must not wait for an answer; who must, does it elsewhere.
template <class Resource>
class blocking_connector {
 public:
  virtual ~blocking_connector() = default;

  virtual result<Resource, open_failure> open(deadline until) = 0;
  virtual bool is_reusable(Resource&) noexcept { return true; }
  virtual bool ping(Resource& resource, deadline) { return is_reusable(resource); }
  virtual bool reset(Resource&) noexcept { return true; }
  virtual void close(Resource&) noexcept {}
};

namespace detail {

SPILLWAY_EXPORT open_failure failure_of_thrown() noexcept;
/// Runs `work` on a thread of its own. Throws std::system_error if there is none.
SPILLWAY_EXPORT void run_on_own_thread(boost::asio::any_completion_handler<void()> work);

template <class Resource>
class connector_of final : public erased_connector {
 public:
  explicit connector_of(std::shared_ptr<pool_connector<Resource>> connector) noexcept : connector_{std::move(connector)} {}

  void open(open_ticket ticket) override {
    try {
      connector_->open(open_request<Resource>{ticket, connector_});
    } catch (...) {
      auto why = failure_of_thrown();
      ticket.fail(why.code, std::move(why.text));
    }
  }
  bool is_reusable(void* resource) noexcept override { return connector_->is_reusable(as(resource)); }
  void ping(void* resource, ping_ticket ticket) override {
    ticket.on_orphaned([connector = std::weak_ptr{connector_}, resource] {
      const std::unique_ptr<Resource> owned{&as(resource)};
      if (const auto still = connector.lock()) still->close(*owned);
    });
    connector_->ping(as(resource), ping_request{std::move(ticket)});
  }
  bool reset(void* resource) noexcept override { return connector_->reset(as(resource)); }
  void close(void* resource) noexcept override {
    const std::unique_ptr<Resource> owned{&as(resource)};
    connector_->close(*owned);
  }

 private:
  static Resource& as(void* resource) noexcept { return *static_cast<Resource*>(resource); }
  std::shared_ptr<pool_connector<Resource>> connector_;
};

template <class Resource>
class threaded_connector final : public pool_connector<Resource>, public std::enable_shared_from_this<threaded_connector<Resource>> {
 public:
  explicit threaded_connector(std::shared_ptr<blocking_connector<Resource>> connector) noexcept : connector_{std::move(connector)} {}

  // A thread keeps all of this: it may outlast the pool, and then what it has is closed here.
  void open(open_request<Resource> request) override {
    run_on_own_thread([self = this->shared_from_this(), request = std::move(request)]() mutable {
      try {
        auto opened = self->connector_->open(request.until());
        if (opened) request.succeed(std::move(*opened));
        else request.fail(std::move(opened).error());
      } catch (...) {
        request.fail(failure_of_thrown());
      }
    });
  }
  bool is_reusable(Resource& resource) noexcept override { return connector_->is_reusable(resource); }
  void ping(Resource& resource, ping_request request) override {
    const auto asked = std::make_shared<ping_request>(std::move(request));
    try {
      run_on_own_thread([self = this->shared_from_this(), &resource, asked] {
        bool alive{false};
        try {
          alive = self->connector_->ping(resource, asked->until());
        } catch (...) {  // not alive
        }
        asked->done(alive);
      });
    } catch (const std::system_error&) {
      asked->done(is_reusable(resource));  // no thread: that says nothing about the resource
    }
  }
  bool reset(Resource& resource) noexcept override { return connector_->reset(resource); }
  void close(Resource& resource) noexcept override { connector_->close(resource); }

 private:
  std::shared_ptr<blocking_connector<Resource>> connector_;
};

}  // namespace detail
}  // namespace spillway
