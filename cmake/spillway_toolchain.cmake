# SPDX-License-Identifier: Apache-2.0
# What spillway's own targets are compiled with. Nothing here reaches a consumer's targets.

if(PROJECT_IS_TOP_LEVEL)
  find_program(SPILLWAY_CCACHE ccache)
  mark_as_advanced(SPILLWAY_CCACHE)
  if(SPILLWAY_CCACHE AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
    set(CMAKE_C_COMPILER_LAUNCHER "${SPILLWAY_CCACHE}")
    set(CMAKE_CXX_COMPILER_LAUNCHER "${SPILLWAY_CCACHE}")
  endif()
  find_program(SPILLWAY_MOLD mold)
  mark_as_advanced(SPILLWAY_MOLD)
  if(NOT CMAKE_BUILD_TYPE AND NOT CMAKE_CONFIGURATION_TYPES)
    set(CMAKE_BUILD_TYPE RelWithDebInfo CACHE STRING "Build type" FORCE)
  endif()
endif()

if(NOT SPILLWAY_SANITIZE MATCHES "^(|address|thread)$")
  message(FATAL_ERROR "SPILLWAY_SANITIZE is '${SPILLWAY_SANITIZE}'; allowed: empty, address, thread")
endif()

set(SPILLWAY_SANITIZE_FLAGS "")
if(SPILLWAY_SANITIZE STREQUAL "address")
  # Left out is what costs a third of the compile time: null pointers crash by themselves, and the rest found nothing that the others do not.
  set(SPILLWAY_SANITIZE_FLAGS -fsanitize=address,undefined -fno-sanitize=null,alignment,object-size,vptr
      -fno-sanitize-recover=all -fno-omit-frame-pointer)
elseif(SPILLWAY_SANITIZE STREQUAL "thread")
  set(SPILLWAY_SANITIZE_FLAGS -fsanitize=thread -fno-omit-frame-pointer)
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    # Asio's fences are not modelled by g++'s thread sanitizer; it says so at every use.
    list(APPEND SPILLWAY_SANITIZE_FLAGS -Wno-tsan)
  endif()
endif()

# Compile and link options of one of our own targets.
function(spillway_own_target target)
  target_compile_features(${target} PUBLIC cxx_std_20)
  set_target_properties(${target} PROPERTIES
    CXX_EXTENSIONS OFF
    CXX_VISIBILITY_PRESET hidden
    VISIBILITY_INLINES_HIDDEN ON
    POSITION_INDEPENDENT_CODE ON)
  if(CMAKE_CXX_COMPILER_ID MATCHES "GNU|Clang")
    target_compile_options(${target} PRIVATE
      -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wsign-conversion -Wold-style-cast
      -Wcast-qual -Woverloaded-virtual -Wformat=2)
    if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
      target_compile_options(${target} PRIVATE -Wduplicated-cond -Wlogical-op)
      # g++ 12 takes the operator delete of a coroutine's frame for a mismatch, and under a sanitizer sees uninitialised reads in std::optional.
      # And it warns of overlapping copies in std::string where there can be none.
      target_compile_options(${target} PRIVATE -Wno-mismatched-new-delete -Wno-restrict $<$<BOOL:${SPILLWAY_SANITIZE}>:-Wno-maybe-uninitialized>)
    endif()
    if(SPILLWAY_WERROR)
      target_compile_options(${target} PRIVATE -Werror)
    endif()
  endif()
  target_compile_options(${target} PRIVATE ${SPILLWAY_SANITIZE_FLAGS})
  target_link_options(${target} PRIVATE ${SPILLWAY_SANITIZE_FLAGS})
  if(SPILLWAY_MOLD AND PROJECT_IS_TOP_LEVEL AND CMAKE_CXX_COMPILER_ID STREQUAL "GNU"
     AND CMAKE_CXX_COMPILER_VERSION VERSION_GREATER_EQUAL 12.1)
    target_link_options(${target} PRIVATE -fuse-ld=mold)
  endif()
endfunction()
