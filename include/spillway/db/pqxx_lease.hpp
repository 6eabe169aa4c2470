// SPDX-License-Identifier: Apache-2.0
/// @file
/// A session's own connection for code that is written for libpqxx, 6.4 or later.
#pragma once

#include <spillway/db/database.hpp>
#include <spillway/db/detail/raw_postgres.hpp>

#include <pqxx/pqxx>

#include <cstdint>
#include <functional>
#include <string>
#include <type_traits>
#include <utility>

namespace spillway {

/// What libpqxx calls a connection, whatever has opened it: its transactions take this.
#if PQXX_VERSION_MAJOR >= 7
using pqxx_connection = pqxx::connection;
#else
using pqxx_connection = pqxx::connection_base;
#endif

namespace detail {

#if PQXX_VERSION_MAJOR >= 7

class adopted_pqxx {
 public:
  explicit adopted_pqxx(pg_conn* raw) : connection_{pqxx::connection::seize_raw_connection(raw)} {}
  ~adopted_pqxx() { (void)std::move(connection_).release_raw_connection(); }
  adopted_pqxx(const adopted_pqxx&) = delete;
  adopted_pqxx& operator=(const adopted_pqxx&) = delete;
  [[nodiscard]] pqxx_connection& get() noexcept { return connection_; }

 private:
  pqxx::connection connection_;
};

#else

/// Gives libpqxx a connection that is open already, and does not let it be closed.
class adopting_policy final : public pqxx::connectionpolicy {
 public:
  explicit adopting_policy(pg_conn* raw) : connectionpolicy{std::string{}}, raw_{raw} {}
  handle do_startconnect(handle) override { return raw_; }
  handle do_completeconnect(handle) override { return raw_; }
  handle do_dropconnect(handle) noexcept override { return nullptr; }
  handle do_disconnect(handle) noexcept override { return nullptr; }

 private:
  pg_conn* raw_;
};

class adopted_pqxx final : public pqxx::connection_base {
 public:
  explicit adopted_pqxx(pg_conn* raw) : connection_base{policy_}, policy_{raw} { init(); }
  ~adopted_pqxx() { close(); }
  adopted_pqxx(const adopted_pqxx&) = delete;
  adopted_pqxx& operator=(const adopted_pqxx&) = delete;
  [[nodiscard]] pqxx_connection& get() noexcept { return *this; }

 private:
  adopting_policy policy_;
};

#endif

/// What libpqxx throws, in this module's terms. To be called while it is handled; throws anything else on.
inline db_error error_of_pqxx() {
  try {
    throw;
  } catch (const pqxx::in_doubt_error& error) {
    return {db_errc::commit_unknown, error.what()};
  } catch (const pqxx::broken_connection& error) {
    return {db_errc::connection_lost, error.what()};
  } catch (const pqxx::deadlock_detected& error) {  // up to libpqxx 6 these two do not know their code
    return postgres_error("40P01", error.what(), {});
  } catch (const pqxx::serialization_failure& error) {
    return postgres_error("40001", error.what(), {});
  } catch (const pqxx::sql_error& error) {
    return postgres_error(error.sqlstate(), error.what(), error.query());
  } catch (const pqxx::failure& error) {
    return {db_errc::engine_error, error.what()};
  }
}

template <class F>
struct pqxx_call {
  using returned = std::invoke_result_t<F&, pqxx_connection&>;
  using outcome = result<returned, db_error>;

  static outcome run(pqxx_connection& connection, F& function) {
    try {
      if constexpr (std::is_void_v<returned>) {
        std::invoke(function, connection);
        return {};
      } else {
        return outcome{outcome::in_place_value, std::invoke(function, connection)};
      }
    } catch (const pqxx::failure&) {
      return outcome{outcome::in_place_error, error_of_pqxx()};
    }
  }
};

}  // namespace detail

/// Runs `function` on the session's own connection as libpqxx knows it, and returns what it returns.
///
///     auto count = with_pqxx(db, [](pqxx_connection& c) {
///       pqxx::work tx{c};
///       const auto rows = tx.exec("SELECT count(*) FROM city");
///       tx.commit();
///       return rows[0][0].as<int>();
///     });
///
/// On a session that has run nothing yet there is no transaction: the function begins and ends its own. Otherwise the session's transaction
/// is open, and the function uses pqxx::nontransaction to take part in it. Statements that were prepared, settings, temporary tables and the
/// like are gone afterwards; in the latter case, after the session's transaction.
///
/// Threads:  those of the session. Only during the call.
/// Errors:   a pqxx::failure that the function throws becomes the error of the result; anything else it throws passes through. A transaction
///           it has left open is rolled back, and is an error; so is the session's that it has ended. If the connection turns out to be lost when
///           the function has returned, and its transactions were its own, db_errc::commit_unknown.
/// Time:     libpqxx blocks. The server ends each statement some time after the deadline; a server that is frozen is waited for.
template <class F>
typename detail::pqxx_call<F>::outcome with_pqxx(write_session& session, F&& function) {
  auto lent = detail::raw_postgres::lend(session);
  if (!lent) return lent.error();
  const auto call = [&]() -> typename detail::pqxx_call<F>::outcome {
    detail::adopted_pqxx adopted{lent->connection()};
    return detail::pqxx_call<F>::run(adopted.get(), function);
  };
  try {
    auto outcome = call();
    if (auto failure = lent->take_back(); outcome && failure.failed()) return failure;
    return outcome;
  } catch (...) {
    (void)lent->take_back();
    throw;
  }
}

/// The same on a session of its own.
template <class F>
typename detail::pqxx_call<F>::outcome with_pqxx(database& db, F&& function, const session_options& options = {}) {
  return db.write([&](write_session& session) { return with_pqxx(session, function); }, options);
}

}  // namespace spillway
