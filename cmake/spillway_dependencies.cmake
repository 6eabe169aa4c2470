# SPDX-License-Identifier: Apache-2.0
# How each third-party package is found. Read by the build and by the installed package, so both find the same things.
# A package <p> has a macro spillway_find_<p>() and the name of the target it defines, SPILLWAY_TARGET_<p>.

include(CMakeFindDependencyMacro)

set(SPILLWAY_TARGET_threads Threads::Threads)
macro(spillway_find_threads)
  set(THREADS_PREFER_PTHREAD_FLAG ON)
  find_dependency(Threads)
endmacro()

set(SPILLWAY_TARGET_boost Boost::headers)
macro(spillway_find_boost)
  find_dependency(Boost 1.81 CONFIG)
endmacro()

set(SPILLWAY_TARGET_boost_json Boost::json)
macro(spillway_find_boost_json)
  find_dependency(Boost 1.81 CONFIG COMPONENTS json)
endmacro()

set(SPILLWAY_TARGET_boost_url Boost::url)
macro(spillway_find_boost_url)
  find_dependency(Boost 1.81 CONFIG COMPONENTS url)
endmacro()

set(SPILLWAY_TARGET_fmt fmt::fmt)
macro(spillway_find_fmt)
  find_dependency(fmt 9 CONFIG)
endmacro()

set(SPILLWAY_TARGET_sqlite SQLite::SQLite3)
macro(spillway_find_sqlite)
  find_dependency(SQLite3)
  # CMake 4.3 renames the target of its own module.
  if(NOT TARGET SQLite::SQLite3 AND TARGET SQLite3::SQLite3)
    add_library(SQLite::SQLite3 ALIAS SQLite3::SQLite3)
  endif()
endmacro()

set(SPILLWAY_TARGET_libpq PostgreSQL::PostgreSQL)
macro(spillway_find_libpq)
  find_dependency(PostgreSQL)
endmacro()

# Conan, vcpkg and libpqxx's own install bring a CMake package; Debian brings a pkg-config file alone.
set(SPILLWAY_TARGET_libpqxx libpqxx::pqxx)
macro(spillway_find_libpqxx)
  find_package(libpqxx CONFIG QUIET)
  if(NOT TARGET libpqxx::pqxx)
    find_dependency(PkgConfig)
    pkg_check_modules(spillway_libpqxx REQUIRED IMPORTED_TARGET libpqxx)
    add_library(libpqxx::pqxx INTERFACE IMPORTED)
    target_link_libraries(libpqxx::pqxx INTERFACE PkgConfig::spillway_libpqxx)
  endif()
endmacro()

set(SPILLWAY_TARGET_openssl OpenSSL::Crypto)
macro(spillway_find_openssl)
  find_dependency(OpenSSL)
endmacro()

# No version is asked for: packages before 1.3.0 ship no version file.
set(SPILLWAY_TARGET_prometheus prometheus-cpp::core)
macro(spillway_find_prometheus)
  find_dependency(prometheus-cpp CONFIG)
endmacro()
