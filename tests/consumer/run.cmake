# SPDX-License-Identifier: Apache-2.0
# One step of a consumer test; see CMakeLists.txt beside this file for the variables.
cmake_minimum_required(VERSION 3.21)

set(here ${CMAKE_CURRENT_LIST_DIR})
set(prefix ${WORK}/prefix-${PREFIX})
set(build ${WORK}/${NAME})
string(REPLACE "+" ";" module_list "${MODULES}")
set(common -G ${GENERATOR} -D CMAKE_BUILD_TYPE=${TYPE} -D CMAKE_CXX_COMPILER=${CXX} -D CMAKE_CXX_COMPILER_LAUNCHER=${LAUNCHER})
# This project's own code is compiled with the flags of the build under test, so that a compiler cache has it already.
set(same_flags "-DCMAKE_CXX_FLAGS_DEBUG=${DEBUG_FLAGS}" -D SPILLWAY_WERROR=${WERROR} -D SPILLWAY_SANITIZE=${SANITIZE})

# Runs a command; a failure ends the test with all that it printed.
function(run)
  execute_process(COMMAND ${ARGN} RESULT_VARIABLE code OUTPUT_VARIABLE output ERROR_VARIABLE output)
  if(NOT code EQUAL 0)
    list(JOIN ARGN " " command)
    message(NOTICE "${command}\n${output}")
    message(FATAL_ERROR "${NAME}: exit ${code}")
  endif()
  set(output "${output}" PARENT_SCOPE)
endfunction()

# Runs a command that has to fail and to print `text`.
function(run_and_fail text)
  execute_process(COMMAND ${ARGN} RESULT_VARIABLE code OUTPUT_VARIABLE output ERROR_VARIABLE output)
  string(REGEX REPLACE "[ \n]+" " " flat "${output}")
  string(FIND "${flat}" "${text}" at)
  if(code EQUAL 0 OR at EQUAL -1)
    message(NOTICE "${output}")
    message(FATAL_ERROR "${NAME}: exit ${code}, expected a failure that says: ${text}")
  endif()
endfunction()

# An install that is moved once, so that nothing in it may remember where it was made.
function(install_moved from)
  file(REMOVE_RECURSE ${prefix} ${prefix}-made)
  run(${CMAKE_COMMAND} --install ${from} --config ${TYPE} --prefix ${prefix}-made)
  file(RENAME ${prefix}-made ${prefix})
endfunction()

file(REMOVE_RECURSE ${build})
if(STEP STREQUAL "install")
  install_moved(${BUILD})

elseif(STEP STREQUAL "build_shared")
  run(${CMAKE_COMMAND} -S ${SOURCE} -B ${WORK}/build-shared ${common} ${same_flags} -D BUILD_SHARED_LIBS=ON
    -D SPILLWAY_BUILD_EXAMPLES=OFF)
  run(${CMAKE_COMMAND} --build ${WORK}/build-shared --parallel 2)
  install_moved(${WORK}/build-shared)

elseif(STEP STREQUAL "project")
  run(${CMAKE_COMMAND} -S ${here}/${PROJECT} -B ${build} ${common} ${same_flags} "-DCONSUMER_FLAGS=${FLAGS}" -D SPILLWAY_SOURCE=${SOURCE}
    -D CMAKE_PREFIX_PATH=${prefix} -D MODULES=${MODULES})
  run(${CMAKE_COMMAND} --build ${build} --parallel 2)
  run(${build}/consumer)
  message(NOTICE "${output}")

elseif(STEP STREQUAL "core_alone")
  set(forbidden "")
  foreach(package IN ITEMS SQLite3 PostgreSQL libpqxx PkgConfig prometheus-cpp OpenSSL)
    list(APPEND forbidden -D CMAKE_DISABLE_FIND_PACKAGE_${package}=ON)
  endforeach()
  run(${CMAKE_COMMAND} -S ${here}/find_package -B ${build} ${common} "-DCONSUMER_FLAGS=${FLAGS}" -D CMAKE_PREFIX_PATH=${prefix} -D MODULES=core ${forbidden})
  run(${CMAKE_COMMAND} --build ${build})
  run(${build}/consumer)
  # The ban works: a module that stands on a banned package is refused, unless a shared library hides it.
  if("db" IN_LIST module_list AND PREFIX STREQUAL "static")
    run_and_fail("SQLite3" ${CMAKE_COMMAND} -S ${here}/find_package -B ${build}-db ${common} -D CMAKE_PREFIX_PATH=${prefix} -D MODULES=db ${forbidden})
  endif()

elseif(STEP STREQUAL "missing_module")
  run_and_fail("spillway has no module 'carrier_pigeon'; it has: core, "
    ${CMAKE_COMMAND} -S ${here}/find_package -B ${build} ${common} -D CMAKE_PREFIX_PATH=${prefix} -D MODULES=core+carrier_pigeon)
  # As it would be installed without 'http'.
  file(GLOB_RECURSE config ${prefix}/spillway-config.cmake)
  cmake_path(GET config PARENT_PATH config_dir)
  file(COPY ${config_dir}/ DESTINATION ${build}-part)
  file(READ ${config} text)
  string(REGEX REPLACE "set\\(spillway_built [^)]*\\)" "set(spillway_built core)" text "${text}")
  file(WRITE ${build}-part/spillway-config.cmake "${text}")
  run_and_fail("built without a module 'http'; it has: core. Name it in SPILLWAY_MODULES"
    ${CMAKE_COMMAND} -S ${here}/find_package -B ${build}-less ${common} -D spillway_DIR=${build}-part -D MODULES=core+http)

elseif(STEP STREQUAL "pkg_config")
  file(GLOB_RECURSE pc_file ${prefix}/spillway-core.pc)
  cmake_path(GET pc_file PARENT_PATH pc_dir)
  set(ENV{PKG_CONFIG_PATH} ${pc_dir})
  set(static "")
  if(PREFIX STREQUAL "static")
    set(static --static)
  endif()
  list(TRANSFORM module_list PREPEND spillway- OUTPUT_VARIABLE packages)
  run(pkg-config --print-errors --exists ${packages})
  run(pkg-config --cflags --libs ${static} ${packages})
  separate_arguments(flags UNIX_COMMAND "${FLAGS} ${output}")
  cmake_path(GET pc_dir PARENT_PATH lib_dir)
  file(MAKE_DIRECTORY ${build})
  run(${CXX} -std=c++20 ${here}/find_package/main.cpp -o ${build}/consumer ${flags} -Wl,-rpath,${lib_dir})
  run(${build}/consumer)

else()
  message(FATAL_ERROR "no step '${STEP}'")
endif()
