# SPDX-License-Identifier: Apache-2.0
# Installs every module that was built: library, headers, one export file and one pkg-config file each, and the package
# file that loads just the modules asked for.
include(CMakePackageConfigHelpers)

set(cmake_dir ${CMAKE_INSTALL_LIBDIR}/cmake/spillway)
set(pc_dir ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
file(RELATIVE_PATH pc_prefix "/${pc_dir}" "/")
string(REGEX REPLACE "/$" "" pc_prefix "${pc_prefix}")

get_property(modules GLOBAL PROPERTY SPILLWAY_MODULES)
get_property(all_modules GLOBAL PROPERTY SPILLWAY_KNOWN_MODULES)
set(module_table "")
foreach(module IN LISTS modules)
  foreach(list IN ITEMS SUMMARY HEADERS MODULES FIND CLOSURE PC_REQUIRES PC_LIBS)
    get_property(${list} GLOBAL PROPERTY SPILLWAY_${module}_${list})
  endforeach()
  string(APPEND module_table
    "set(spillway_closure_of_${module} ${CLOSURE})\n"
    "set(spillway_packages_of_${module} ${FIND})\n")

  install(TARGETS spillway_${module} EXPORT spillway-${module}-targets
    ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT spillway_${module}
    LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT spillway_${module}
    RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR} COMPONENT spillway_${module})
  install(EXPORT spillway-${module}-targets NAMESPACE spillway:: DESTINATION ${cmake_dir} COMPONENT spillway_${module})

  foreach(header IN LISTS HEADERS)
    get_filename_component(folder ${header} DIRECTORY)
    install(FILES ${PROJECT_SOURCE_DIR}/include/${header}
      DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/${folder} COMPONENT spillway_${module})
  endforeach()

  # A static library asks its user to link what it uses itself; a shared one has done so already.
  list(TRANSFORM MODULES PREPEND spillway- OUTPUT_VARIABLE pc_requires)
  list(JOIN pc_requires ", " pc_requires)
  set(pc_requires_private "")
  set(pc_libs_private "")
  if(NOT BUILD_SHARED_LIBS)
    list(JOIN PC_REQUIRES ", " pc_requires_private)
    list(JOIN PC_LIBS " " pc_libs_private)
  endif()
  set(pc_name ${module})
  set(pc_summary "${SUMMARY}")
  configure_file(${PROJECT_SOURCE_DIR}/cmake/spillway.pc.in ${PROJECT_BINARY_DIR}/pkgconfig/spillway-${module}.pc @ONLY)
  install(FILES ${PROJECT_BINARY_DIR}/pkgconfig/spillway-${module}.pc DESTINATION ${pc_dir} COMPONENT spillway_${module})
endforeach()

install(FILES ${PROJECT_BINARY_DIR}/include/spillway/core/version.hpp
  DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/spillway/core COMPONENT spillway_core)

configure_package_config_file(cmake/spillway-config.cmake.in ${PROJECT_BINARY_DIR}/spillway-config.cmake
  INSTALL_DESTINATION ${cmake_dir} NO_SET_AND_CHECK_MACRO NO_CHECK_REQUIRED_COMPONENTS_MACRO)
write_basic_package_version_file(${PROJECT_BINARY_DIR}/spillway-config-version.cmake COMPATIBILITY SameMinorVersion)
install(FILES
    ${PROJECT_BINARY_DIR}/spillway-config.cmake
    ${PROJECT_BINARY_DIR}/spillway-config-version.cmake
    ${PROJECT_SOURCE_DIR}/cmake/spillway_dependencies.cmake
  DESTINATION ${cmake_dir} COMPONENT spillway_core)
install(FILES ${PROJECT_SOURCE_DIR}/LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR} COMPONENT spillway_core)
