// SPDX-License-Identifier: Apache-2.0
#include "db/support/postgres_cluster.hpp"

#include <libpq-fe.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <stdexcept>
#include <thread>
#include <utility>

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

extern char** environ;

namespace spillway::tests {

namespace {

constexpr std::string_view script{SPILLWAY_SOURCE_DIR "/scripts/services/postgres.sh"};

struct started {
  pid_t pid;
  int input;   // -1: none
  int output;  // standard output and error
};

started start(std::vector<std::string> words, bool with_input) {
  int out[2];
  int in[2]{-1, -1};
  if (::pipe2(out, O_CLOEXEC) != 0 || (with_input && ::pipe2(in, O_CLOEXEC) != 0)) throw std::runtime_error{"pipe2 failed"};
  posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawn_file_actions_adddup2(&actions, out[1], STDOUT_FILENO);
  ::posix_spawn_file_actions_adddup2(&actions, out[1], STDERR_FILENO);
  if (with_input) ::posix_spawn_file_actions_adddup2(&actions, in[0], STDIN_FILENO);
  else ::posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  std::vector<char*> pointers;
  for (auto& word : words) pointers.push_back(word.data());
  pointers.push_back(nullptr);
  pid_t pid{0};
  const int failure = ::posix_spawnp(&pid, "bash", &actions, nullptr, pointers.data(), environ);
  ::posix_spawn_file_actions_destroy(&actions);
  ::close(out[1]);
  if (with_input) ::close(in[0]);
  if (failure != 0) throw std::runtime_error{std::string{"cannot start bash: "} + std::strerror(failure)};
  return {pid, in[1], out[0]};
}

/// Reads until the end, or until a line is `last`.
std::string read_until(int from, std::string_view last) {
  std::string text;
  std::array<char, 4'096> chunk{};
  for (;;) {
    const auto got = ::read(from, chunk.data(), chunk.size());
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return text;
    text.append(chunk.data(), static_cast<std::size_t>(got));
    if (!last.empty() && text.find(std::string{last} + "\n") != std::string::npos) return text;
  }
}

int end_of(pid_t pid) {
  int status{0};
  while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  return status;
}

std::string value_in(const std::string& lines, const std::string& key) {
  const auto at = lines.find(key + "=");
  if (at == std::string::npos) throw std::runtime_error{"PostgreSQL for the tests did not start:\n" + lines};
  const auto begin = at + key.size() + 1;
  return lines.substr(begin, lines.find('\n', begin) - begin);
}

}  // namespace

postgres_cluster::postgres_cluster(int replicas) {
  const auto held = start({"bash", std::string{script}, "hold", folder_.path().string(), std::to_string(replicas)}, true);
  holder_ = held.pid;
  holder_input_ = held.input;
  const auto lines = read_until(held.output, "PG_READY=1");
  ::close(held.output);
  try {
    (void)value_in(lines, "PG_READY");
    for (int node = 0; node <= replicas; ++node) urls_.push_back(value_in(lines, "PG_NODE_" + std::to_string(node) + "_URL"));
  } catch (...) {
    ::close(holder_input_);
    end_of(holder_);
    throw;
  }
}

postgres_cluster::~postgres_cluster() {
  ::close(holder_input_);  // which ends the servers
  end_of(holder_);
}

postgres_cluster& postgres_cluster::shared() {
  static postgres_cluster one;
  return one;
}

std::string postgres_cluster::url(int node, std::string_view database) const {
  auto made = urls_.at(static_cast<std::size_t>(node));
  if (!database.empty()) made.replace(made.rfind('/') + 1, std::string::npos, database);
  return made;
}

int postgres_cluster::port(int node) const {
  const auto made = url(node);
  return std::stoi(made.substr(made.rfind(':') + 1));
}

void postgres_cluster::command(std::vector<std::string> arguments) const {
  std::vector<std::string> words{"bash", std::string{script}, arguments.front(), folder_.path().string()};
  words.insert(words.end(), arguments.begin() + 1, arguments.end());
  const auto run = start(std::move(words), false);
  const auto said = read_until(run.output, {});
  ::close(run.output);
  if (const int status = end_of(run.pid); status != 0) throw std::runtime_error{"postgres.sh " + arguments.front() + ": " + said};
}

void postgres_cluster::promote(int node) const { command({"promote", std::to_string(node)}); }
void postgres_cluster::halt(int node, std::string_view signal) const { command({"halt", std::to_string(node), std::string{signal}}); }
void postgres_cluster::resume(int node) const { command({"resume", std::to_string(node)}); }
void postgres_cluster::lag(int node, int seconds) const {
  command({"lag", std::to_string(node), std::to_string(seconds)});
  if (seconds == 0) return;
  // The process that replays learns of it in its own time: what is committed until then may still be shown at once.
  for (int i = 0; i < 3'000; ++i) {
    sql("SELECT pg_current_xact_id()", 0);
    if (value("SELECT wait_event FROM pg_stat_activity WHERE backend_type = 'startup'", node) == "RecoveryApplyDelay") return;
    std::this_thread::sleep_for(std::chrono::milliseconds{10});
  }
  throw std::runtime_error{"node " + std::to_string(node) + " has not begun to lag within 30 s"};
}
void postgres_cluster::follow(int node, int upstream) const { command({"follow", std::to_string(node), std::to_string(upstream)}); }
void postgres_cluster::rejoin(int node, int upstream) const { command({"rejoin", std::to_string(node), std::to_string(upstream)}); }

text_rows postgres_cluster::sql(std::string_view statements, int node, std::string_view database) const {
  const std::unique_ptr<PGconn, void (*)(PGconn*)> connection{PQconnectdb(url(node, database).c_str()), &PQfinish};
  if (PQstatus(connection.get()) != CONNECTION_OK) throw std::runtime_error{PQerrorMessage(connection.get())};
  PQsetNoticeProcessor(connection.get(), [](void*, const char*) {}, nullptr);
  const std::unique_ptr<PGresult, void (*)(PGresult*)> done{PQexec(connection.get(), std::string{statements}.c_str()), &PQclear};
  if (const auto status = PQresultStatus(done.get()); status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK) {
    throw std::runtime_error{PQresultErrorMessage(done.get())};
  }
  text_rows rows;
  for (int row = 0; row < PQntuples(done.get()); ++row) {
    auto& values = rows.emplace_back();
    for (int column = 0; column < PQnfields(done.get()); ++column) values.emplace_back(PQgetvalue(done.get(), row, column));
  }
  return rows;
}

std::string postgres_cluster::value(std::string_view statement, int node, std::string_view database) const {
  return sql(statement, node, database).at(0).at(0);
}

std::string postgres_cluster::make_database() {
  if (!free_databases_.empty()) {
    auto name = std::move(free_databases_.back());
    free_databases_.pop_back();
    sql("DROP SCHEMA public CASCADE; CREATE SCHEMA public", 0, name);
    return name;
  }
  auto name = "test" + std::to_string(databases_++);
  sql("CREATE DATABASE " + name);
  return name;
}

void postgres_cluster::drop_database(std::string name) noexcept { free_databases_.push_back(std::move(name)); }

}  // namespace spillway::tests
