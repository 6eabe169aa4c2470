// SPDX-License-Identifier: Apache-2.0
#include "db/sqlite_fixture.hpp"

#include <spillway/db/sqlite.hpp>

#include <doctest/doctest.h>
#include <sqlite3.h>

#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <barrier>
#include <filesystem>
#include <functional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

struct sqlite3_api_routines;

using namespace spillway;
using namespace std::chrono_literals;
using tests::sqlite_fixture;

namespace {

template <class Change>
std::string refusal_of(Change&& change) {
  sqlite_config config;
  config.path = "x.db";
  change(config);
  try {
    (void)open_sqlite(config);
  } catch (const std::invalid_argument& refused) {
    return refused.what();
  }
  return "accepted";
}

/// Calls a function before the first statement by that text that this process runs.
class before_statement {
 public:
  before_statement(std::string_view sql, std::function<void()> act) : sql_{sql}, act_{std::move(act)} {
    current = this;
    sqlite3_auto_extension(entry());
  }
  ~before_statement() { sqlite3_cancel_auto_extension(entry()); }

  [[nodiscard]] bool called() const { return called_; }

 private:
  using entry_point = void (*)();
  static entry_point entry() { return reinterpret_cast<entry_point>(&watch); }
  static int watch(sqlite3* connection, char**, const sqlite3_api_routines*) {
    return sqlite3_trace_v2(connection, SQLITE_TRACE_STMT, [](unsigned, void*, void*, void* text) {
      if (!current->called_ && current->sql_ == static_cast<const char*>(text)) {
        current->called_ = true;
        current->act_();
      }
      return 0;
    }, nullptr);
  }

  static inline before_statement* current{nullptr};
  std::string_view sql_;
  std::function<void()> act_;
  bool called_{false};
};

}  // namespace

TEST_CASE("open_sqlite.a_bad_configuration_names_field_value_and_range") {
  CHECK(refusal_of([](auto& c) { c.path = ""; }) == "sqlite_config.path is \"\"; it must name a file");
  CHECK(refusal_of([](auto& c) { c.path = ":memory:"; }) ==
        "sqlite_config.path is \":memory:\"; a database in memory has one connection only: use a file in a temporary directory");
  CHECK(refusal_of([](auto& c) { c.path = "file:x?mode=memory"; }).find("URIs are not taken") != std::string::npos);
  CHECK(refusal_of([](auto& c) { c.path = std::string{"a\0b", 3}; }).find("NUL") != std::string::npos);
  CHECK(refusal_of([](auto& c) { c.readers = 0; }) == "sqlite_config.readers is 0; it must be in [1, 64]");
  CHECK(refusal_of([](auto& c) { c.readers = 65; }) == "sqlite_config.readers is 65; it must be in [1, 64]");
  CHECK(refusal_of([](auto& c) { c.other_process_timeout = -1ms; }) ==
        "sqlite_config.other_process_timeout is -1 ms; it must be in [0, 3600000]");
  CHECK(refusal_of([](auto& c) { c.statement_cache = 5'000; }) == "sqlite_config.statement_cache is 5000; it must be in [0, 4096]");
  CHECK(refusal_of([](auto& c) { c.page_cache_bytes = 1; }).find("[65536, ") != std::string::npos);
  CHECK(refusal_of([](auto& c) { c.max_value_bytes = 1; }).find("[1024, 1000000000]") != std::string::npos);
  CHECK(refusal_of([](auto& c) { c.max_file_bytes = 1; }).find("sqlite_config.max_file_bytes is 1; ") == 0);
  CHECK(refusal_of([](auto& c) { c.database.timeout = 0ms; }) == "database_config.timeout is 0 ms; it must be in [1, 86400000]");
  CHECK(refusal_of([](auto& c) { c.database.max_waiters = 2'000'000; }) ==
        "database_config.max_waiters is 2000000; it must be in [0, 1000000]");
  CHECK(refusal_of([](auto& c) { c.database.max_result_bytes = 1; }).find("database_config.max_result_bytes is 1; ") == 0);
  CHECK(refusal_of([](auto& c) { c.database.slow_statement = -1ms; }).find("database_config.slow_statement is -1 ms; ") == 0);
  CHECK(refusal_of([](auto& c) { c.database.name.assign(65, 'x'); }).find("database_config.name length is 65 bytes; ") == 0);
  CHECK_FALSE(std::filesystem::exists("x.db"));
}

TEST_CASE("open_sqlite.a_path_that_is_a_directory_is_named") {
  const sqlite_fixture fixture;
  auto config = fixture.config();
  config.path = fixture.directory.path().string();
  const auto opened = open_sqlite(config);
  REQUIRE_FALSE(opened.has_value());
  CHECK(opened.error() == db_errc::cannot_open);
  CHECK(opened.error() == errc::unavailable);
  CHECK(opened.error().message().find('"' + config.path + "\": Is a directory: unable to open database file") == 0);
}

TEST_CASE("open_sqlite.a_directory_that_is_not_there_is_refused_and_not_made") {
  const sqlite_fixture fixture;
  auto config = fixture.config();
  config.path = (fixture.directory.path() / "no" / "such.db").string();
  CHECK(open_sqlite(config).error() == db_errc::cannot_open);
  CHECK(open_sqlite(config).error().message().find("No such file or directory") != std::string_view::npos);
  CHECK_FALSE(std::filesystem::exists(fixture.directory.path() / "no"));
}

TEST_CASE("open_sqlite.without_create_a_missing_file_is_refused_and_not_made") {
  const sqlite_fixture fixture;
  auto config = fixture.config();
  config.create = false;
  CHECK(open_sqlite(config).error() == db_errc::cannot_open);
  CHECK_FALSE(std::filesystem::exists(config.path));
  { auto made = fixture.open(); }
  CHECK(open_sqlite(config).has_value());
}

TEST_CASE("open_sqlite.an_unwritable_file_is_refused") {
  if (::geteuid() == 0) {
    // Root may write anything but what nobody may: a file of /proc.
    sqlite_config config;
    config.path = "/proc/version";
    const auto opened = open_sqlite(config);
    REQUIRE_FALSE(opened.has_value());
    CHECK((opened.error() == db_errc::read_only || opened.error() == db_errc::corrupt || opened.error() == db_errc::cannot_open));
    return;
  }
  const sqlite_fixture fixture;
  { auto made = fixture.open(); }
  REQUIRE(::chmod(fixture.path().c_str(), 0400) == 0);
  CHECK(open_sqlite(fixture.config()).error() == db_errc::read_only);
}

TEST_CASE("open_sqlite.a_file_that_is_no_database_is_corrupt_and_left_alone") {
  const sqlite_fixture fixture;
  const std::string text(10'000, 'z');
  fixture.directory.write("test.db", text);
  const auto opened = open_sqlite(fixture.config());
  REQUIRE_FALSE(opened.has_value());
  CHECK(opened.error() == db_errc::corrupt);
  CHECK(opened.error() == errc::internal);
  CHECK(opened.error().message().find("test.db\": file is not a database") != std::string_view::npos);
  CHECK(std::filesystem::file_size(fixture.path()) == text.size());
}

TEST_CASE("open_sqlite.another_programs_file_is_refused_by_its_stamp") {
  const sqlite_fixture fixture;
  auto config = fixture.config();
  config.application_id = 0x5350'4c57;
  { REQUIRE(open_sqlite(config).has_value()); }
  { REQUIRE(open_sqlite(config).has_value()); }  // its own
  config.application_id = 77;
  const auto opened = open_sqlite(config);
  REQUIRE_FALSE(opened.has_value());
  CHECK(opened.error() == db_errc::incompatible_schema);
  CHECK(opened.error().message().find("the application_id of the file is 1397771351, 77 is expected") != std::string_view::npos);

  // A file that was used without a stamp is not ours to stamp.
  const sqlite_fixture other;
  {
    auto db = other.open();
    REQUIRE(db.write([](write_session& s) { return s.execute("CREATE TABLE t (x)"); }));
  }
  auto stamped = other.config();
  stamped.application_id = 77;
  CHECK(open_sqlite(stamped).error() == db_errc::incompatible_schema);
}

TEST_CASE("open_sqlite.a_file_another_process_is_just_stamping_is_accepted") {
  const sqlite_fixture fixture;
  auto config = fixture.config();
  config.application_id = 77;
  config.other_process_timeout = 0ms;
  sqlite3* other{nullptr};
  REQUIRE(sqlite3_open(fixture.path().c_str(), &other) == SQLITE_OK);
  const auto run = [&](const char* sql) { return sqlite3_exec(other, sql, nullptr, nullptr, nullptr); };
  int stamped{SQLITE_OK};
  // Another start of the same program, between two statements of ours.
  const before_statement looking{"SELECT count(*) FROM sqlite_schema", [&] {
    stamped = run("BEGIN IMMEDIATE; PRAGMA application_id = 77; CREATE TABLE t (x); COMMIT");
  }};
  const auto opened = open_sqlite(config);
  CHECK(looking.called());
  CHECK(opened.has_value());
  CHECK(stamped == SQLITE_BUSY);  // it has to wait for us
  CHECK(sqlite3_close(other) == SQLITE_OK);
}

TEST_CASE("open_sqlite.several_programs_may_create_one_file_at_once") {
  constexpr int programs{4};
  constexpr int rounds{60};
  std::vector<sqlite_fixture> files(rounds);
  std::atomic<int> failed{0};
  std::barrier start{programs};
  std::vector<std::thread> threads;
  for (int i = 0; i < programs; ++i) {
    threads.emplace_back([&] {
      for (const auto& file : files) {
        auto config = file.config();
        config.application_id = 77;
        start.arrive_and_wait();
        if (!open_sqlite(config)) ++failed;
      }
    });
  }
  for (auto& thread : threads) thread.join();
  CHECK(failed == 0);
}

TEST_CASE("open_sqlite.a_file_another_process_has_locked_is_busy_after_the_timeout") {
  const sqlite_fixture fixture;
  sqlite3* other{nullptr};
  REQUIRE(sqlite3_open(fixture.path().c_str(), &other) == SQLITE_OK);
  REQUIRE(sqlite3_exec(other, "CREATE TABLE t (x); PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE", nullptr, nullptr, nullptr) == SQLITE_OK);
  auto config = fixture.config();
  config.other_process_timeout = 20ms;
  const auto opened = open_sqlite(config);
  REQUIRE_FALSE(opened.has_value());
  CHECK(opened.error() == db_errc::busy);
  CHECK(opened.error() == errc::overloaded);
  CHECK(sqlite3_close(other) == SQLITE_OK);
}

TEST_CASE("sqlite.closing_moves_the_log_into_the_file") {
  const sqlite_fixture fixture;
  auto db = fixture.open();
  REQUIRE(db.write([](write_session& s) { return s.execute_script("CREATE TABLE t (x); INSERT INTO t VALUES (1)"); }));
  REQUIRE(db.read([](read_session& s) { return s.query("SELECT * FROM t"); }).has_value());
  CHECK(std::filesystem::exists(fixture.path() + "-wal"));
  CHECK(db.close().has_value());
  CHECK_FALSE(std::filesystem::exists(fixture.path() + "-wal"));
  CHECK_FALSE(std::filesystem::exists(fixture.path() + "-shm"));
  auto again = fixture.open();
  CHECK(again.read([](read_session& s) { return s.query_one<int>("SELECT count(*) FROM t"); }).value() == 1);
}
