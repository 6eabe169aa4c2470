# SPDX-License-Identifier: Apache-2.0
# Fails naming every header below ROOT that is not in the file LISTED.
cmake_minimum_required(VERSION 3.21)
file(STRINGS ${LISTED} listed)
file(GLOB_RECURSE headers RELATIVE ${ROOT} ${ROOT}/spillway/*.hpp)
set(missing "")
foreach(header IN LISTS headers)
  if(NOT header IN_LIST listed)
    string(APPEND missing "\n  include/${header}")
  endif()
endforeach()
if(missing)
  message(FATAL_ERROR "not among the HEADERS of a module, so never installed:${missing}")
endif()
