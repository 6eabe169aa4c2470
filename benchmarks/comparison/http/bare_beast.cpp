// SPDX-License-Identifier: Apache-2.0
// The same route on Beast alone, as one would write it by hand: coroutines, concrete executors, an io_context and an acceptor for each thread.
// No router, no limits, no timeouts, no metrics, no log, no request ids.
//   bare_beast PORT [dealt]      dealt: one acceptor, which deals connections to the threads in turn
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http.hpp>

#include <array>
#include <cstdlib>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

namespace asio = boost::asio;
namespace http = boost::beast::http;
using tcp = asio::ip::tcp;
using executor = asio::io_context::executor_type;
using token = asio::as_tuple_t<asio::use_awaitable_t<executor>>;
using socket_type = asio::basic_stream_socket<tcp, executor>;
using acceptor_type = asio::basic_socket_acceptor<tcp, executor>;
using reuse_port = asio::detail::socket_option::boolean<SOL_SOCKET, SO_REUSEPORT>;

namespace {

const token resume{};

asio::awaitable<void, executor> serve(socket_type socket) {
  const std::string body(100, 'x');
  boost::beast::flat_buffer buffer;
  for (;;) {
    http::request<http::string_body> request;
    if (const auto [ec, bytes] = co_await http::async_read(socket, buffer, request, resume); ec) co_return;
    http::response<http::string_body> response{http::status::ok, request.version()};
    response.set(http::field::content_type, "text/plain; charset=utf-8");
    response.keep_alive(request.keep_alive());
    response.body() = body;
    response.prepare_payload();
    if (const auto [ec, bytes] = co_await http::async_write(socket, response, resume); ec) co_return;
    if (response.need_eof()) co_return;
  }
}

asio::awaitable<void, executor> accept(acceptor_type acceptor) {
  for (;;) {
    auto [ec, socket] = co_await acceptor.async_accept(resume);
    if (ec) continue;
    socket.set_option(tcp::no_delay{true});
    asio::co_spawn(acceptor.get_executor(), serve(std::move(socket)), asio::detached);
  }
}

asio::awaitable<void, executor> deal(acceptor_type acceptor, std::array<asio::io_context, 2>& contexts) {
  for (std::size_t turn = 0;; ++turn) {
    auto& context = contexts[turn % contexts.size()];
    socket_type socket{context.get_executor()};
    const auto [ec] = co_await acceptor.async_accept(socket, resume);
    if (ec) continue;
    socket.set_option(tcp::no_delay{true});
    asio::co_spawn(context.get_executor(), serve(std::move(socket)), asio::detached);
  }
}

void listen(acceptor_type& acceptor, unsigned short port) {
  acceptor.open(tcp::v4());
  acceptor.set_option(acceptor_type::reuse_address{true});
  acceptor.set_option(reuse_port{true});
  acceptor.bind({asio::ip::address_v4::loopback(), port});
  acceptor.listen();
}

void run_dealt(unsigned short port) {
  std::array<asio::io_context, 2> contexts{asio::io_context{1}, asio::io_context{1}};
  acceptor_type acceptor{contexts[0].get_executor()};
  listen(acceptor, port);
  asio::co_spawn(contexts[0].get_executor(), deal(std::move(acceptor), contexts), asio::detached);
  const auto kept = asio::make_work_guard(contexts[1]);
  std::thread second{[&] { contexts[1].run(); }};
  contexts[0].run();
  second.join();
}

}  // namespace

int main(int argc, char** argv) {
  const auto port = static_cast<unsigned short>(argc > 1 ? std::atoi(argv[1]) : 0);
  if (argc > 2 && std::string_view{argv[2]} == "dealt") {
    run_dealt(port);
    return 0;
  }
  std::vector<std::thread> threads;
  for (int i = 0; i < 2; ++i) {
    threads.emplace_back([port] {
      asio::io_context context{1};
      acceptor_type acceptor{context.get_executor()};
      listen(acceptor, port);
      asio::co_spawn(context.get_executor(), accept(std::move(acceptor)), asio::detached);
      context.run();
    });
  }
  for (auto& thread : threads) thread.join();
}
