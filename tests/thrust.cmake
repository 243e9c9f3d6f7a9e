# tests/thrust once for each of Thrust's systems. The CUDA one is compiled and linked; scripts/gpu-check runs it.

if(NOT TARGET seqboat_thrust OR NOT thrust_sources)
  return()
endif()

foreach(system IN ITEMS cpp omp tbb)
  if((system STREQUAL "omp" AND NOT TARGET OpenMP::OpenMP_CXX) OR (system STREQUAL "tbb" AND NOT TARGET TBB::tbb))
    message(STATUS "seqboat: thrust_${system} is not built, its run-time library is not installed")
    continue()
  endif()
  string(TOUPPER "${system}" upper)
  seqboat_test(thrust_${system} SOURCES ${thrust_sources} LIBRARIES seqboat::thrust PREFIX "${system}/" LABELS thrust
    DEFINITIONS SMA_TEST_THRUST_SYSTEM=${system} THRUST_DEVICE_SYSTEM=THRUST_DEVICE_SYSTEM_${upper} SMA_POISON_FRESH_MEMORY
    ENVIRONMENT OMP_NUM_THREADS=2 OMP_WAIT_POLICY=passive)
  # Thousands of tiny kernels: compiling them costs more than running them.
  target_compile_options(thrust_${system} PRIVATE -O1)
  # Thrust finds the system of a pointer through a reference that is bound to null.
  if(SEQBOAT_SANITIZE MATCHES "undefined")
    target_compile_options(thrust_${system} PRIVATE -fno-sanitize=null)
  endif()
endforeach()

if(SEQBOAT_SANITIZE OR NOT CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  return()
endif()
include(CheckLanguage)
# The oldest architecture that the backend is written for, and the newest that it is tuned for.
if(NOT DEFINED CMAKE_CUDA_ARCHITECTURES)
  set(CMAKE_CUDA_ARCHITECTURES 80 90)
endif()
if(CUDAToolkit_NVCC_EXECUTABLE AND NOT DEFINED CMAKE_CUDA_COMPILER AND NOT DEFINED ENV{CUDACXX})
  set(ENV{CUDACXX} "${CUDAToolkit_NVCC_EXECUTABLE}")
endif()
check_language(CUDA)
if(NOT CMAKE_CUDA_COMPILER)
  message(STATUS "seqboat: no working nvcc, thrust_cuda is not built")
  return()
endif()
if(CMAKE_CXX_COMPILER_LAUNCHER AND NOT CMAKE_CUDA_COMPILER_LAUNCHER)
  set(CMAKE_CUDA_COMPILER_LAUNCHER "${CMAKE_CXX_COMPILER_LAUNCHER}")
endif()
enable_language(CUDA)
# For the host's part; what runs on the GPU is optimised all the same.
set(CMAKE_CUDA_FLAGS_RELEASE "-O1 -DNDEBUG")

set(units)
foreach(source IN LISTS thrust_sources)
  cmake_path(GET source STEM name)
  set(unit "${CMAKE_CURRENT_BINARY_DIR}/thrust_units/${name}.cu")
  seqboat_write("${unit}" "#include \"${source}\"\n")
  set_property(SOURCE "${unit}" PROPERTY OBJECT_DEPENDS "${source}")
  list(APPEND units "${unit}")
endforeach()
add_executable(thrust_cuda ${units})
target_link_libraries(thrust_cuda PRIVATE
  seqboat_test_main doctest::doctest seqboat::seqboat seqboat::thrust seqboat_flags)
target_compile_definitions(thrust_cuda PRIVATE
  SMA_TEST_THRUST_SYSTEM=cuda THRUST_DEVICE_SYSTEM=THRUST_DEVICE_SYSTEM_CUDA SMA_POISON_FRESH_MEMORY)
# CMake 3.25 does not know that nvcc has C++20.
target_compile_options(thrust_cuda PRIVATE "$<$<COMPILE_LANGUAGE:CUDA>:-std=c++20>")
target_include_directories(thrust_cuda PRIVATE "${CMAKE_CURRENT_SOURCE_DIR}")
