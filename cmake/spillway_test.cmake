# SPDX-License-Identifier: Apache-2.0
find_package(doctest CONFIG REQUIRED)

add_library(spillway_test_main STATIC ${PROJECT_SOURCE_DIR}/tests/support/test_main.cpp)
spillway_own_target(spillway_test_main)
target_link_libraries(spillway_test_main PUBLIC doctest::doctest)
target_include_directories(spillway_test_main PUBLIC ${PROJECT_SOURCE_DIR}/tests ${PROJECT_SOURCE_DIR}/src)

# All that the tests labelled `unit` run.
add_custom_target(unit_tests)

# One test executable of doctest cases, one CTest entry.
#   spillway_add_test(NAME <name> SOURCES <files> LIBRARIES <targets> [TIMEOUT <seconds>] [LABELS <labels>])
function(spillway_add_test)
  cmake_parse_arguments(T "" "NAME;TIMEOUT" "SOURCES;LIBRARIES;LABELS" ${ARGN})
  add_executable(${T_NAME} ${T_SOURCES})
  spillway_own_target(${T_NAME})
  target_link_libraries(${T_NAME} PRIVATE ${T_LIBRARIES} spillway_test_main)
  add_test(NAME ${T_NAME} COMMAND ${T_NAME})
  if(NOT T_TIMEOUT)
    set(T_TIMEOUT 300)
  endif()
  if(NOT T_LABELS)
    set(T_LABELS unit)
  endif()
  if("unit" IN_LIST T_LABELS)
    add_dependencies(unit_tests ${T_NAME})
  endif()
  set_tests_properties(${T_NAME} PROPERTIES TIMEOUT ${T_TIMEOUT} LABELS "${T_LABELS}")
endfunction()
