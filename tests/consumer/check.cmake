# A user's project, with cmake -P. CASE: find_package and add_subdirectory build and run README.md's program with README.md's lines of
# CMake, and examples/consumer; io builds and runs io/ both ways; boost, eigen and package configure project/ with other Boosts, Eigens and
# versions of seqboat, and without nlohmann-json.

# Another name than the tests' own, so that what finds it there does not find it here; and blanks, as some users have them.
set(work "${WORK_DIR}/a user's project")
set(prefix "${work}/installed")
file(REMOVE_RECURSE "${WORK_DIR}")
file(MAKE_DIRECTORY "${work}")

# run(what command...): the output goes to `output`; stops when the command fails.
macro(run what)
  execute_process(COMMAND ${ARGN} RESULT_VARIABLE status OUTPUT_VARIABLE output ERROR_VARIABLE output)
  if(NOT status EQUAL 0)
    message("${output}")
    message(FATAL_ERROR "${CASE}: ${what}: failed (${status})")
  endif()
endmacro()

function(install_seqboat)
  run("installing" "${CMAKE_COMMAND}" --install "${BUILD_DIR}" --prefix "${prefix}")
endfunction()

# configure_command(source build arguments...): sets `command`. Warnings for developers are errors.
macro(configure_command source build)
  set(command "${CMAKE_COMMAND}" -S "${source}" -B "${build}" -G "${GENERATOR}" "-DCMAKE_MAKE_PROGRAM=${MAKE_PROGRAM}" -Werror=dev -Werror=deprecated
    "-DCMAKE_CXX_COMPILER=${CXX_COMPILER}" "-DCMAKE_CXX_COMPILER_LAUNCHER=${CXX_COMPILER_LAUNCHER}"
    "-DCMAKE_CXX_FLAGS=-Wall -Wextra -Werror" ${ARGN})
endmacro()

# build_and_run(what source program arguments...)
function(build_and_run what source program)
  set(build "${work}/build of ${what}")
  configure_command("${source}" "${build}" ${ARGN})
  run("configuring ${what}" ${command})
  run("building ${what}" "${CMAKE_COMMAND}" --build "${build}")
  run("running ${what}" "${build}/${program}")
  message("${CASE}: ${what}: passed")
endfunction()

# README.md's program with its lines of CMake, those that begin with `begin`.
function(write_readme_project begin minimum)
  file(READ "${SOURCE_DIR}/README.md" readme)
  if(NOT readme MATCHES "\n```cpp\n([^`]*)\n```\n")
    message(FATAL_ERROR "${CASE}: README.md: found no program")
  endif()
  file(WRITE "${work}/readme/main.cpp" "${CMAKE_MATCH_1}\n")
  if(NOT readme MATCHES "\n```cmake\n(${begin}[^`]*)\n```\n")
    message(FATAL_ERROR "${CASE}: README.md: found no lines of CMake that begin with ${begin}")
  endif()
  file(WRITE "${work}/readme/CMakeLists.txt"
    "cmake_minimum_required(VERSION ${minimum})\nproject(mine LANGUAGES CXX)\nadd_executable(mine main.cpp)\n${CMAKE_MATCH_1}\n")
endfunction()

# Configures project/; passes when that succeeds and says all of `expected`. What it says goes to `output`.
function(expect_configured what expected)
  configure_command("${SOURCE_DIR}/tests/consumer/project" "${work}/build" --fresh "-DMINIMUM=3.20...3.31" ${ARGN})
  run("${what}" ${command})
  foreach(text IN LISTS expected)
    string(FIND "${output}" "${text}" at)
    if(at EQUAL -1)
      message("${output}")
      message(FATAL_ERROR "${CASE}: ${what}: expected it to say: ${text}")
    endif()
  endforeach()
  message("${CASE}: ${what}: passed")
  set(output "${output}" PARENT_SCOPE)
endfunction()

# Configures project/; passes when that fails with one error that says `expected`, line breaks aside.
function(expect_refused what expected)
  configure_command("${SOURCE_DIR}/tests/consumer/project" "${work}/build" --fresh "-DMINIMUM=3.20...3.31" ${ARGN})
  execute_process(COMMAND ${command} RESULT_VARIABLE status OUTPUT_VARIABLE output ERROR_VARIABLE output)
  string(REGEX REPLACE "[ \n]+" " " said "${output}")
  string(REGEX MATCHALL "CMake Error" errors "${said}")
  list(LENGTH errors count)
  string(FIND "${said}" "${expected}" at)
  if(status EQUAL 0 OR at EQUAL -1 OR NOT count EQUAL 1)
    message("${output}")
    message(FATAL_ERROR "${CASE}: ${what}: found status ${status} and ${count} errors, expected one that says: ${expected}")
  endif()
  message("${CASE}: ${what}: passed")
endfunction()

set(installed "-DCMAKE_PREFIX_PATH=${prefix}")
set(sources "-DSEQBOAT_SOURCE_DIR=${SOURCE_DIR}")
set(no_package -DCMAKE_DISABLE_FIND_PACKAGE_Boost=ON)

if(CASE STREQUAL "find_package")
  install_seqboat()
  build_and_run("examples/consumer" "${SOURCE_DIR}/examples/consumer" consumer -DCMAKE_BUILD_TYPE=Debug "${installed}")
  write_readme_project("find_package" 3.20)
  build_and_run("README.md's program" "${work}/readme" mine -DCMAKE_BUILD_TYPE=Release "${installed}")
elseif(CASE STREQUAL "add_subdirectory")
  build_and_run("examples/consumer" "${SOURCE_DIR}/examples/consumer" consumer -DCMAKE_BUILD_TYPE=Release "${sources}")
  write_readme_project("add_subdirectory" 3.20...3.31)
  file(MAKE_DIRECTORY "${work}/readme/third_party")
  file(CREATE_LINK "${SOURCE_DIR}" "${work}/readme/third_party/seqboat" SYMBOLIC)
  build_and_run("README.md's program" "${work}/readme" mine -DCMAKE_BUILD_TYPE=Debug)
elseif(CASE STREQUAL "io")
  install_seqboat()
  foreach(way IN ITEMS installed sources)
    build_and_run("io, ${way}" "${SOURCE_DIR}/tests/consumer/io" io -DCMAKE_BUILD_TYPE=Debug "${${way}}")
  endforeach()
elseif(CASE STREQUAL "boost")
  install_seqboat()
  # Headers in a folder, without BoostConfig.cmake.
  set(headers "${work}/boost/include")
  file(MAKE_DIRECTORY "${headers}")
  file(CREATE_LINK "${BOOST_INCLUDE_DIR}/boost" "${headers}/boost" SYMBOLIC)
  foreach(way IN ITEMS installed sources)
    expect_configured("headers in BOOST_ROOT, ${way}" "Boost::headers in ${headers}" "${${way}}" ${no_package}
      "-DBOOST_ROOT=${work}/boost")
  endforeach()
  expect_configured("headers in Boost_INCLUDE_DIR" "Boost::headers in ${headers}" "${installed}"
    "-DBoost_INCLUDE_DIR=${headers}")
  expect_configured("headers in CMAKE_PREFIX_PATH" "Boost::headers in ${headers}"
    "-DCMAKE_PREFIX_PATH=${work}/boost" "-Dseqboat_ROOT=${prefix}" ${no_package})
  set(old "${work}/old/include")
  file(WRITE "${old}/boost/hana.hpp" "")
  file(WRITE "${old}/boost/version.hpp" "#define BOOST_VERSION 107400\n#define BOOST_LIB_VERSION \"1_74\"\n")
  foreach(way IN ITEMS installed sources)
    expect_refused("an old Boost, ${way}" "seqboat: found Boost 1.74 in" "${${way}}" "-DBOOST_ROOT=${work}/old")
  endforeach()
  expect_refused("no Boost" "seqboat: found no Boost.Hana, expected Boost 1.81 or later" "${installed}" ${no_package}
    -DCMAKE_FIND_USE_CMAKE_SYSTEM_PATH=OFF -DCMAKE_FIND_USE_SYSTEM_ENVIRONMENT_PATH=OFF)
elseif(CASE STREQUAL "eigen")
  install_seqboat()
  include(CMakePackageConfigHelpers)
  foreach(version IN ITEMS 5.0.0 3.3.9)
    set(directory "${work}/eigen-${version}")
    file(MAKE_DIRECTORY "${directory}")
    file(CREATE_LINK "${EIGEN_INCLUDE_DIR}" "${directory}/include" SYMBOLIC)
    file(WRITE "${directory}/Eigen3Config.cmake" "add_library(Eigen3::Eigen INTERFACE IMPORTED)
set_target_properties(Eigen3::Eigen PROPERTIES INTERFACE_INCLUDE_DIRECTORIES \"${directory}/include\")\n")
    write_basic_package_version_file("${directory}/Eigen3ConfigVersion.cmake" VERSION ${version}
      COMPATIBILITY SameMajorVersion ARCH_INDEPENDENT)
  endforeach()
  foreach(way IN ITEMS installed sources)
    expect_configured("Eigen 5, ${way}" "Eigen3::Eigen in ${work}/eigen-5.0.0/include" "${${way}}"
      "-DEigen3_DIR=${work}/eigen-5.0.0")
    expect_refused("an old Eigen, ${way}" "seqboat: found Eigen 3.3.9 in" "${${way}}" "-DEigen3_DIR=${work}/eigen-3.3.9")
  endforeach()
  expect_refused("no Eigen" "seqboat: found no Eigen, expected 3.4 or later" "${installed}"
    -DCMAKE_DISABLE_FIND_PACKAGE_Eigen3=ON)
elseif(CASE STREQUAL "package")
  install_seqboat()
  expect_configured("versions"
    "seqboat 0.2: 1;seqboat 0.2.0: 1;seqboat 0.2...<0.3: 1;seqboat 0.1: 0;seqboat 0.2.1: 0;seqboat 1.0: 0"
    "${installed}" "-DVERSIONS=0.2,0.2.0,0.2...<0.3,0.1,0.2.1,1.0")
  expect_configured("QUIET, and no Eigen" "seqboat 0.2: 0" "${installed}" -DVERSIONS=0.2 -DOPTIONAL=ON
    -DCMAKE_DISABLE_FIND_PACKAGE_Eigen3=ON)
  if(output MATCHES "Warning|Error")
    message(FATAL_ERROR "package: QUIET, and no Eigen: found:\n${output}")
  endif()
  foreach(way IN ITEMS installed sources)
    expect_configured("no nlohmann-json, ${way}" "seqboat: found no nlohmann-json, expected 3.11 or later;Boost::headers in" "${${way}}"
      -DCMAKE_DISABLE_FIND_PACKAGE_nlohmann_json=ON)
  endforeach()
  expect_configured("CMake 3.20's policies" "Boost::headers in" "${installed}" -DMINIMUM=3.20)
endif()
