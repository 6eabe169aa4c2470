// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cerrno>
#include <csignal>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

namespace spillway::tests {

/// A program of ours as a process of its own, with its standard output and error in pipes. Killed with the object.
class child_process {
 public:
  /// `environment` is all the child gets, as NAME=VALUE.
  child_process(std::vector<std::string> command, std::vector<std::string> environment) {
    int out[2];
    int err[2];
    if (::pipe2(out, O_CLOEXEC) != 0 || ::pipe2(err, O_CLOEXEC) != 0) throw std::runtime_error{"pipe2 failed"};
    posix_spawn_file_actions_t actions;
    ::posix_spawn_file_actions_init(&actions);
    ::posix_spawn_file_actions_adddup2(&actions, out[1], STDOUT_FILENO);
    ::posix_spawn_file_actions_adddup2(&actions, err[1], STDERR_FILENO);
    const auto pointers = [](std::vector<std::string>& texts) {
      std::vector<char*> list;
      for (auto& text : texts) list.push_back(text.data());
      list.push_back(nullptr);
      return list;
    };
    const int failure = ::posix_spawn(&pid_, command.front().c_str(), &actions, nullptr, pointers(command).data(), pointers(environment).data());
    ::posix_spawn_file_actions_destroy(&actions);
    ::close(out[1]);
    ::close(err[1]);
    out_ = out[0];
    err_ = err[0];
    if (failure != 0) {
      pid_ = 0;
      throw std::runtime_error{"cannot start " + command.front()};
    }
  }
  ~child_process() {
    if (pid_ > 0) {
      ::kill(pid_, SIGKILL);
      ::waitpid(pid_, nullptr, 0);
    }
    ::close(out_);
    ::close(err_);
  }
  child_process(const child_process&) = delete;
  child_process& operator=(const child_process&) = delete;

  void signal(int number) const { ::kill(pid_, number); }

  /// Reads standard error up to and including a line that contains `text`, and returns that line; empty if it ended first.
  std::string wait_for_error_line(std::string_view text) {
    for (;;) {
      const auto end = pending_.find('\n');
      if (end == std::string::npos) {
        if (!fill(err_, pending_)) return {};
        continue;
      }
      auto line = pending_.substr(0, end);
      pending_.erase(0, end + 1);
      errors_.append(line).append("\n");
      if (line.find(text) != std::string::npos) return line;
    }
  }

  /// Waits for the end: the exit code, or minus the number of the signal that ended it. Collects what it still writes.
  int wait() {
    while (fill(out_, output_)) {
    }
    while (fill(err_, pending_)) {
    }
    errors_ += pending_;
    int status{0};
    ::waitpid(pid_, &status, 0);
    pid_ = 0;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
  }

  [[nodiscard]] const std::string& output() const noexcept { return output_; }
  [[nodiscard]] const std::string& errors() const noexcept { return errors_; }

 private:
  static bool fill(int fd, std::string& into) {
    char chunk[4096];
    ssize_t got{0};
    do got = ::read(fd, chunk, sizeof chunk);
    while (got < 0 && errno == EINTR);
    if (got <= 0) return false;
    into.append(chunk, static_cast<std::size_t>(got));
    return true;
  }

  pid_t pid_{0};
  int out_{-1};
  int err_{-1};
  std::string output_;
  std::string errors_;
  std::string pending_;
};

}  // namespace spillway::tests
