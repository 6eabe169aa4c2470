# SPDX-License-Identifier: Apache-2.0
# One call makes one module: a library, its alias, and what spillway_install.cmake needs to install, export and describe it.
#
#   spillway_add_module(<name>
#     SUMMARY  <one line>            what it is, for the pkg-config file
#     SOURCES  <files>               bodies
#     HEADERS  <files>               public headers, relative to include/
#     MODULES  <modules>             spillway modules that it uses
#     PACKAGES <packages>            third-party packages, by their name in spillway_dependencies.cmake
#     PUBLIC_LIBRARIES <targets>     third-party targets that public headers need
#     PRIVATE_LIBRARIES <targets>    third-party targets that only the bodies need
#     PC_REQUIRES <pc modules>       pkg-config requirements of a static link
#     PC_LIBS <flags>)               linker flags of packages without a .pc file

set_property(GLOBAL PROPERTY SPILLWAY_MODULES "")

# find_dependency() returns from whoever calls the macro, so the call has a function of its own.
function(spillway_find package)
  cmake_language(CALL spillway_find_${package})
endfunction()

function(spillway_add_module name)
  cmake_parse_arguments(M "" "SUMMARY" "SOURCES;HEADERS;MODULES;PACKAGES;PUBLIC_LIBRARIES;PRIVATE_LIBRARIES;PC_REQUIRES;PC_LIBS" ${ARGN})
  if(M_UNPARSED_ARGUMENTS)
    message(FATAL_ERROR "spillway_add_module(${name}): unknown arguments ${M_UNPARSED_ARGUMENTS}")
  endif()

  foreach(module IN LISTS M_MODULES)
    if(NOT TARGET spillway_${module})
      message(FATAL_ERROR "spillway: the module '${name}' stands on '${module}'; add it to SPILLWAY_MODULES")
    endif()
  endforeach()
  foreach(package IN LISTS M_PACKAGES)
    spillway_find(${package})
    if(NOT TARGET ${SPILLWAY_TARGET_${package}})
      message(FATAL_ERROR "spillway: the module '${name}' needs the package '${package}' (target ${SPILLWAY_TARGET_${package}}), which was not found. "
        "Install it, name its place with CMAKE_PREFIX_PATH, or build without this module: SPILLWAY_MODULES lists those wanted.")
    endif()
  endforeach()

  add_library(spillway_${name} ${M_SOURCES})
  add_library(spillway::${name} ALIAS spillway_${name})
  spillway_own_target(spillway_${name})
  list(TRANSFORM M_MODULES PREPEND spillway:: OUTPUT_VARIABLE modules)
  target_link_libraries(spillway_${name} PUBLIC ${modules} ${M_PUBLIC_LIBRARIES} PRIVATE ${M_PRIVATE_LIBRARIES})
  target_include_directories(spillway_${name}
    PUBLIC
      $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include>
      $<BUILD_INTERFACE:${PROJECT_BINARY_DIR}/include>
      $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>
    PRIVATE ${PROJECT_SOURCE_DIR}/src)
  set_target_properties(spillway_${name} PROPERTIES
    EXPORT_NAME ${name}
    DEFINE_SYMBOL ""
    INSTALL_RPATH "$ORIGIN"
    VERSION ${PROJECT_VERSION}
    SOVERSION ${PROJECT_VERSION_MAJOR}.${PROJECT_VERSION_MINOR})

  # The modules and packages a user of this one must load: everything, where the bodies are linked into the user's program
  # (static), else what the public headers name.
  set(public_packages "")
  foreach(package IN LISTS M_PACKAGES)
    if(NOT BUILD_SHARED_LIBS OR SPILLWAY_TARGET_${package} IN_LIST M_PUBLIC_LIBRARIES)
      list(APPEND public_packages ${package})
    endif()
  endforeach()
  set(closure "")
  foreach(module IN LISTS M_MODULES)
    get_property(below GLOBAL PROPERTY SPILLWAY_${module}_CLOSURE)
    list(APPEND closure ${below})
  endforeach()
  list(APPEND closure ${name})
  list(REMOVE_DUPLICATES closure)

  set_property(GLOBAL APPEND PROPERTY SPILLWAY_MODULES ${name})
  foreach(list IN ITEMS SUMMARY HEADERS MODULES PC_REQUIRES PC_LIBS)
    set_property(GLOBAL PROPERTY SPILLWAY_${name}_${list} "${M_${list}}")
  endforeach()
  set_property(GLOBAL PROPERTY SPILLWAY_${name}_FIND "${public_packages}")
  set_property(GLOBAL PROPERTY SPILLWAY_${name}_CLOSURE "${closure}")
endfunction()
