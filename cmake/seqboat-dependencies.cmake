# Finds what the library's headers include: Boost.Hana, Eigen, threads; and nlohmann-json, which only files need (sma/io, sma/train). For
# the sources and, installed, for find_package(seqboat).

# seqboat_find_dependencies(problem [GLOBAL]): makes the targets Boost::headers, Eigen3::Eigen, Threads::Threads and, where it is found,
# nlohmann_json::nlohmann_json, unless they are there. Sets `problem` to one line that says what was found and what was expected, or to
# nothing. With GLOBAL a project that uses seqboat through add_subdirectory sees the targets too.
function(seqboat_find_dependencies problem)
  if(POLICY CMP0144)
    cmake_policy(SET CMP0144 NEW)  # BOOST_ROOT and EIGEN3_ROOT are looked at
  endif()
  set(text "")
  if(NOT TARGET Boost::headers)
    seqboat_find_boost(text ${ARGN})
  endif()
  if(NOT TARGET Eigen3::Eigen AND NOT text)
    seqboat_find_eigen(text ${ARGN})
  endif()
  if(NOT TARGET Threads::Threads AND NOT text)
    set(THREADS_PREFER_PTHREAD_FLAG ON)
    find_package(Threads QUIET ${ARGN})
    if(NOT Threads_FOUND)
      set(text "found no threads, expected CMake's package Threads to find them")
    endif()
  endif()
  if(NOT TARGET nlohmann_json::nlohmann_json AND NOT text)
    find_package(nlohmann_json 3.11 QUIET ${ARGN})
  endif()
  set(${problem} "${text}" PARENT_SCOPE)
endfunction()

# Boost.Hana is headers alone; an older one does not compile as C++20. Where the user says, then as a CMake package, then where
# headers lie. Not by CMake's own FindBoost, which is no more there from policy CMP0167 on.
function(seqboat_find_boost problem)
  set(given ${Boost_INCLUDE_DIR} ${Boost_ROOT} ${BOOST_ROOT} $ENV{Boost_ROOT} $ENV{BOOST_ROOT})
  unset(headers)
  if(given)
    find_path(headers boost/hana.hpp PATHS ${given} PATH_SUFFIXES include NO_DEFAULT_PATH NO_CACHE)
  endif()
  if(NOT headers)
    find_package(Boost 1.81 QUIET CONFIG ${ARGN})
    if(TARGET Boost::headers)
      return()
    endif()
    find_path(headers boost/hana.hpp NO_CACHE)
  endif()
  if(NOT headers)
    set(${problem}
      "found no Boost.Hana, expected Boost 1.81 or later: set Boost_DIR, Boost_INCLUDE_DIR or CMAKE_PREFIX_PATH" PARENT_SCOPE)
    return()
  endif()
  get_filename_component(headers "${headers}" ABSOLUTE)  # /usr/include, and not /usr/include/, is a directory that goes without saying
  file(STRINGS "${headers}/boost/version.hpp" line REGEX "^#define BOOST_LIB_VERSION")
  string(REGEX REPLACE "^[^\"]*\"([0-9]+)_([0-9]+).*$" "\\1.\\2" version "${line}")
  if(version VERSION_LESS 1.81)
    set(${problem} "found Boost ${version} in ${headers}, expected 1.81 or later: set Boost_DIR or Boost_INCLUDE_DIR" PARENT_SCOPE)
    return()
  endif()
  add_library(Boost::headers INTERFACE IMPORTED ${ARGN})
  set_target_properties(Boost::headers PROPERTIES INTERFACE_INCLUDE_DIRECTORIES "${headers}")
endfunction()

# Any version is asked for: that of Eigen 3.4 and 5 says no to each other's.
function(seqboat_find_eigen problem)
  find_package(Eigen3 QUIET NO_MODULE ${ARGN})
  if(NOT Eigen3_FOUND)
    set(${problem} "found no Eigen, expected 3.4 or later: set Eigen3_DIR or CMAKE_PREFIX_PATH" PARENT_SCOPE)
  elseif(Eigen3_VERSION VERSION_LESS 3.4)
    set(${problem} "found Eigen ${Eigen3_VERSION} in ${Eigen3_DIR}, expected 3.4 or later: set Eigen3_DIR" PARENT_SCOPE)
  endif()
endfunction()
