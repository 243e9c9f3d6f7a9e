# nvcc for our own executables that run on a GPU, by g++ and without sanitizers. A directory that makes some includes this file;
# SEQBOAT_CUDA says whether there is an nvcc that works. SEQBOAT_CUDA_SMALL: slower to compile, smaller to carry.

# The oldest architecture that the backend is written for, and code for the newest that it is tuned for made of the same PTX, as its
# source is then read and optimised once. What runs on a GPU is compiled for that one (the preset gpu).
set(SEQBOAT_CUDA_OPTIONS "")
if(NOT DEFINED CMAKE_CUDA_ARCHITECTURES)
  set(CMAKE_CUDA_ARCHITECTURES 80)
  set(SEQBOAT_CUDA_OPTIONS "--generate-code=arch=compute_80,code=sm_90")
endif()
set(SEQBOAT_CUDA FALSE)
if(SEQBOAT_BUILD_CUDA AND TARGET seqboat_thrust AND NOT SEQBOAT_SANITIZE AND CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  include(CheckLanguage)
  if(CUDAToolkit_NVCC_EXECUTABLE AND NOT DEFINED CMAKE_CUDA_COMPILER AND NOT DEFINED ENV{CUDACXX})
    set(ENV{CUDACXX} "${CUDAToolkit_NVCC_EXECUTABLE}")
  endif()
  check_language(CUDA)
  if(CMAKE_CUDA_COMPILER)
    if(CMAKE_CXX_COMPILER_LAUNCHER AND NOT CMAKE_CUDA_COMPILER_LAUNCHER)
      set(CMAKE_CUDA_COMPILER_LAUNCHER "${CMAKE_CXX_COMPILER_LAUNCHER}")
    endif()
    enable_language(CUDA)
    set(SEQBOAT_CUDA TRUE)
  endif()
endif()

# seqboat_cuda_executable(name SOURCES files... [HOST_SOURCES files...] [LIBRARIES ...] [DEFINITIONS ...])
#
# SOURCES are compiled by nvcc, whatever their names end in, HOST_SOURCES by the C++ compiler. It starts on a machine that has nothing
# of this one but an equal or newer C library and the driver: CUDA's and C++'s run-time libraries are inside.
function(seqboat_cuda_executable name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "" "SOURCES;HOST_SOURCES;LIBRARIES;DEFINITIONS")
  set(units)
  foreach(source IN LISTS arg_SOURCES)
    cmake_path(ABSOLUTE_PATH source)
    cmake_path(GET source STEM stem)
    set(unit "${CMAKE_CURRENT_BINARY_DIR}/${name}_units/${stem}.cu")
    file(CONFIGURE OUTPUT "${unit}" CONTENT "#include \"${source}\"\n" @ONLY)
    set_property(SOURCE "${unit}" PROPERTY OBJECT_DEPENDS "${source}")
    list(APPEND units "${unit}")
  endforeach()
  add_executable(${name} ${units} ${arg_HOST_SOURCES})
  # Not seqboat::thrust, which brings the run-time libraries of OpenMP and TBB.
  target_link_libraries(${name} PRIVATE seqboat::seqboat seqboat::io ${arg_LIBRARIES} seqboat_flags)
  target_include_directories(${name} PRIVATE "${PROJECT_SOURCE_DIR}/backends/thrust/include")
  target_include_directories(${name} SYSTEM PRIVATE ${SEQBOAT_CUDA_INCLUDE_DIRS})
  target_compile_definitions(${name} PRIVATE
    THRUST_DEVICE_SYSTEM=THRUST_DEVICE_SYSTEM_CUDA NVTX_DISABLE ${arg_DEFINITIONS})
  # CMake 3.25 does not know that nvcc has C++20.
  set(options -std=c++20 ${SEQBOAT_CUDA_OPTIONS})
  if(SEQBOAT_CUDA_SMALL AND CMAKE_CUDA_COMPILER_VERSION VERSION_GREATER_EQUAL 12.8)
    list(APPEND options --compress-mode=size)
  endif()
  target_compile_options(${name} PRIVATE "$<$<COMPILE_LANGUAGE:CUDA>:${options}>")
  target_link_options(${name} PRIVATE -static-libstdc++ -static-libgcc)
  set_target_properties(${name} PROPERTIES CUDA_RUNTIME_LIBRARY Static)
endfunction()
