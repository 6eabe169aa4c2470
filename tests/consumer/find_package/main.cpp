// SPDX-License-Identifier: Apache-2.0
#include <spillway/core/config_reader.hpp>
#include <spillway/core/io_runner.hpp>
#include <spillway/core/version.hpp>

#include <boost/asio/post.hpp>

#include <cstdio>
#include <future>
#include <string>
#include <vector>

// Uses what is compiled into the library (JSON, fmt, threads) and Asio on both sides of its border.
int main() {
  const std::string of_headers =
      std::to_string(SPILLWAY_VERSION_MAJOR) + "." + std::to_string(SPILLWAY_VERSION_MINOR) + "." + std::to_string(SPILLWAY_VERSION_PATCH);
  if (spillway::version() != of_headers) return 1;

  spillway::config_sources sources;
  sources.environment = std::vector<std::string>{"SPILLWAY_HTTP_PORT=99999"};
  try {
    spillway::config_reader read{sources};
    int port = 0;
    read("http.port", port, 0, 65'535);
    read.finish();
    return 2;
  } catch (const spillway::config_error& error) {
    std::puts(error.what());
  }

  spillway::io_runner runner;
  runner.start();
  std::promise<int> answer;
  boost::asio::post(runner.executor(), [&answer] { answer.set_value(42); });
  return answer.get_future().get() == 42 ? 0 : 3;
}
