# How seqboat's own executables are compiled. Nothing here reaches a user's targets.

include(CheckCXXCompilerFlag)
if(SEQBOAT_NATIVE)
  check_cxx_compiler_flag(-march=native SEQBOAT_HAS_MARCH_NATIVE)
endif()

# clang's -Wconversion holds -Wsign-conversion, g++'s does not.
add_library(seqboat_warnings INTERFACE)
target_compile_options(seqboat_warnings INTERFACE
  "$<$<COMPILE_LANGUAGE:CXX>:-Wall;-Wextra;-Wpedantic;-Wconversion;-Wshadow>"
  "$<$<COMPILE_LANGUAGE:CUDA>:-Xcompiler=-Wall,-Wextra>")
# g++ 12 takes the copies of short strings for overlapping ones (GCC bug 105651), the undefined registers of its own AVX-512 intrinsics
# for our variables (bug 105593; Eigen's products have them), and, behind nvcc, an empty object of CUB's (TripleChevronFactory) for one
# without a value.
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13)
  target_compile_options(seqboat_warnings INTERFACE
    "$<$<COMPILE_LANGUAGE:CXX>:-Wno-restrict;-Wno-maybe-uninitialized>" "$<$<COMPILE_LANGUAGE:CUDA>:-Xcompiler=-Wno-maybe-uninitialized>")
endif()
# Sanitizers' instrumentation makes g++ warn of uninitialised and out-of-range accesses that are not there.
if(SEQBOAT_WARNINGS_AS_ERRORS AND NOT (SEQBOAT_SANITIZE AND CMAKE_CXX_COMPILER_ID STREQUAL "GNU"))
  target_compile_options(seqboat_warnings INTERFACE
    "$<$<COMPILE_LANGUAGE:CXX>:-Werror>" "$<$<COMPILE_LANGUAGE:CUDA>:-Werror=all-warnings;-Xcompiler=-Werror>")
endif()

add_library(seqboat_flags INTERFACE)
target_link_libraries(seqboat_flags INTERFACE seqboat_warnings)
if(SEQBOAT_NATIVE AND SEQBOAT_HAS_MARCH_NATIVE)
  target_compile_options(seqboat_flags INTERFACE "$<$<COMPILE_LANGUAGE:CXX>:-march=native>")
endif()
if(SEQBOAT_SANITIZE)
  target_compile_options(seqboat_flags INTERFACE
    "$<$<COMPILE_LANGUAGE:CXX>:-fsanitize=${SEQBOAT_SANITIZE};-fno-omit-frame-pointer>")
  target_link_options(seqboat_flags INTERFACE "-fsanitize=${SEQBOAT_SANITIZE}")
  if(SEQBOAT_SANITIZE MATCHES "undefined")
    target_compile_options(seqboat_flags INTERFACE "$<$<COMPILE_LANGUAGE:CXX>:-fno-sanitize-recover=undefined>")
  endif()
endif()
if(SEQBOAT_FUZZ)
  target_compile_options(seqboat_flags INTERFACE -fsanitize=fuzzer-no-link)
endif()

# For what is tested and not timed: where compiling costs more than running.
set(SEQBOAT_LESS_OPTIMISED "$<$<AND:$<CONFIG:Release>,$<COMPILE_LANGUAGE:CXX>>:-Og>")
function(seqboat_less_optimised name)
  target_compile_options(${name} PRIVATE "${SEQBOAT_LESS_OPTIMISED}")
endfunction()

if(NOT TARGET seqboat_io)
  message(FATAL_ERROR "seqboat: found no nlohmann-json, expected 3.11 or later for tests, examples and benchmarks: set nlohmann_json_DIR")
endif()
target_link_libraries(seqboat_io PRIVATE seqboat_flags)
if(SEQBOAT_UNTIMED)
  seqboat_less_optimised(seqboat_io)
endif()

# seqboat_executable(name SOURCES... [LIBRARIES targets...]): an executable on SeqBoat, files and the Eigen backend.
function(seqboat_executable name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "" "SOURCES;LIBRARIES")
  add_executable(${name} ${arg_SOURCES})
  target_link_libraries(${name} PRIVATE seqboat::seqboat seqboat::eigen seqboat::io ${arg_LIBRARIES} seqboat_flags)
  set_target_properties(${name} PROPERTIES CXX_EXTENSIONS OFF)
endfunction()
