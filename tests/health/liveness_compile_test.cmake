# SPDX-License-Identifier: Apache-2.0
# A liveness rule that could depend on anything but the heartbeat does not compile.
#   cmake -DCOMPILER=... -DINCLUDES=...(;) -DSOURCE=... -P liveness_compile_test.cmake
list(TRANSFORM INCLUDES PREPEND -I OUTPUT_VARIABLE include_options)
foreach(case RANGE 0 8)
  execute_process(COMMAND ${COMPILER} -std=c++20 -fsyntax-only -DCASE=${case} ${include_options} ${SOURCE}
    RESULT_VARIABLE result OUTPUT_VARIABLE output ERROR_VARIABLE output)
  if(case EQUAL 0 AND NOT result EQUAL 0)
    message(FATAL_ERROR "case 0 must compile:\n${output}")
  elseif(case GREATER 0 AND result EQUAL 0)
    message(FATAL_ERROR "case ${case} of ${SOURCE} compiles, but must not")
  elseif(case GREATER 0 AND NOT output MATCHES "liveness_rule|loop_heartbeat|consteval|constant")
    message(FATAL_ERROR "case ${case} fails for another reason:\n${output}")
  endif()
endforeach()
