# Other people's builds: with whatever flags, CMake, Boost and Eigen a user has, the headers compile without a word, or say in one line
# why they do not. What is labelled compile, too, is tested with each compiler.

set(consumer_dir "${CMAKE_CURRENT_SOURCE_DIR}/consumer")
set(consumer_include "")
foreach(target IN ITEMS seqboat_sma seqboat_eigen Boost::headers Eigen3::Eigen nlohmann_json::nlohmann_json)
  string(APPEND consumer_include ":$<JOIN:$<TARGET_PROPERTY:${target},INTERFACE_INCLUDE_DIRECTORIES>,:>")
endforeach()
set(consumer_compiler --compiler "${CMAKE_CXX_COMPILER}" "--launcher=${CMAKE_CXX_COMPILER_LAUNCHER}"
  "--include=${consumer_include}")
if(CMAKE_SYSTEM_PROCESSOR MATCHES "^(x86_64|AMD64)$")
  set(consumer_x86 ON)
else()
  set(consumer_x86 OFF)
endif()

# seqboat_consumer_unit(name source [OPTIONS ...] FLAGS ...): compile.py's options, and a user's flags.
function(seqboat_consumer_unit name source)
  cmake_parse_arguments(PARSE_ARGV 2 arg "" "" "OPTIONS;FLAGS")
  add_test(NAME consumer/${name} COMMAND "${Python3_EXECUTABLE}" "${consumer_dir}/compile.py" ${consumer_compiler}
    ${arg_OPTIONS} "${consumer_dir}/${source}" -- ${arg_FLAGS})
  set_tests_properties(consumer/${name} PROPERTIES LABELS "consumer;compile" TIMEOUT 600)
endfunction()

set(consumer_warnings -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wsign-conversion -Wold-style-cast -Wdouble-promotion
  -Wfloat-equal -Wcast-align -Wcast-qual -Wundef -Wnon-virtual-dtor -Woverloaded-virtual -Wextra-semi)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  list(APPEND consumer_warnings -Wuseless-cast -Wduplicated-cond -Wduplicated-branches -Wlogical-op -Wredundant-decls)
endif()
seqboat_consumer_unit(warnings everything.cpp FLAGS -std=c++20 -fsyntax-only ${consumer_warnings})

# What g++ takes for a mistake once it has inlined it: in the AVX-512 forms there is most of it.
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND consumer_x86)
  seqboat_consumer_unit(warnings_optimised registers.cpp OPTIONS --system
    FLAGS -std=c++20 -O3 -DNDEBUG -march=skylake-avx512 -Wall -Wextra -Wnull-dereference)
endif()

# <complex.h> defines a macro I where the compiler speaks GNU's dialect.
seqboat_consumer_unit(gnu++20_after_complex_h small.cpp FLAGS -std=gnu++20 -include complex.h -fsyntax-only -Wall -Wextra)
seqboat_consumer_unit(gnu++23 small.cpp FLAGS -std=gnu++2b -fsyntax-only -Wall -Wextra)
seqboat_consumer_unit(no_rtti_beside_eigen small.cpp OPTIONS --run FLAGS -std=c++20 -O0 -fno-rtti -Wall -Wextra)

seqboat_consumer_unit(no_exceptions small.cpp
  OPTIONS "--says=seqboat reports errors by exceptions: compile without -fno-exceptions"
  FLAGS -std=c++20 -fno-exceptions)
seqboat_consumer_unit(c++17 small.cpp OPTIONS "--says=seqboat is C++20: compile with -std=c++20" FLAGS -std=c++17)
seqboat_consumer_unit(part_of_a_backend part_alone.cpp OPTIONS "--says=include <sma/eigen.hpp>: a part of the backend alone"
  FLAGS -std=c++20)
seqboat_consumer_unit(old_boost old_boost.cpp OPTIONS "--says=seqboat needs Boost 1.81 or later" FLAGS -std=c++20)
seqboat_consumer_unit(old_eigen old_eigen.cpp OPTIONS "--says=seqboat needs Eigen 3.4 or later" FLAGS -std=c++20)

set(consumer_processors "")
if(consumer_x86 AND CMAKE_CXX_COMPILER_ID STREQUAL "GNU")  # one compiler's names of functions are the other's
  set(consumer_processors --other-processors)
endif()
add_test(NAME consumer/units COMMAND "${Python3_EXECUTABLE}" "${consumer_dir}/units.py" ${consumer_compiler}
  ${consumer_processors} "${consumer_dir}")
set_tests_properties(consumer/units PROPERTIES LABELS "consumer;compile" TIMEOUT 600)

# A user's project: README.md's program and lines of CMake, examples/consumer, and io/ with seqboat::io; against an installed copy and against the sources.
foreach(case IN ITEMS find_package add_subdirectory io boost eigen package)
  add_test(NAME consumer/${case} COMMAND "${CMAKE_COMMAND}"
    -DCASE=${case}
    "-DSOURCE_DIR=${PROJECT_SOURCE_DIR}"
    "-DBUILD_DIR=${PROJECT_BINARY_DIR}"
    "-DWORK_DIR=${CMAKE_CURRENT_BINARY_DIR}/consumer/${case}"
    "-DGENERATOR=${CMAKE_GENERATOR}"
    "-DMAKE_PROGRAM=${CMAKE_MAKE_PROGRAM}"
    "-DCXX_COMPILER=${CMAKE_CXX_COMPILER}"
    "-DCXX_COMPILER_LAUNCHER=${CMAKE_CXX_COMPILER_LAUNCHER}"
    "-DBOOST_INCLUDE_DIR=$<TARGET_PROPERTY:Boost::headers,INTERFACE_INCLUDE_DIRECTORIES>"
    "-DEIGEN_INCLUDE_DIR=$<TARGET_PROPERTY:Eigen3::Eigen,INTERFACE_INCLUDE_DIRECTORIES>"
    -P "${consumer_dir}/check.cmake")
  set_tests_properties(consumer/${case} PROPERTIES LABELS consumer TIMEOUT 900)
endforeach()
