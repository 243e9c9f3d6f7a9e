# tests/thrust once for each of Thrust's systems, and golden vectors. What is for CUDA is compiled and linked; scripts/gpu-check runs it.
#
#   thrust_omp, thrust_tbb, thrust_cpp    tests/thrust
#   golden_omp, or golden_cpp             a few golden files, the same code as golden_cuda's
#   thrust_cuda                           tests/thrust
#   golden_cuda                           all golden files; not part of `all`, as nvcc takes many minutes
#   scripts/gpu_check, scripts/summary, scripts/lessons    scripts/gpu-check, scripts/test and scripts/lessons, with stand-ins for the GPU and for programs

foreach(name IN ITEMS gpu_check summary lessons)
  add_test(NAME scripts/${name} COMMAND "${Python3_EXECUTABLE}" "${CMAKE_CURRENT_SOURCE_DIR}/scripts/${name}_test.py")
  set_tests_properties(scripts/${name} PROPERTIES LABELS scripts TIMEOUT 600)
endforeach()

if(NOT TARGET seqboat_thrust OR NOT thrust_sources)
  return()
endif()

foreach(system IN ITEMS cpp omp tbb)
  if((system STREQUAL "omp" AND NOT TARGET OpenMP::OpenMP_CXX) OR (system STREQUAL "tbb" AND NOT TARGET TBB::tbb))
    message(STATUS "seqboat: thrust_${system} is not built, its run-time library is not installed")
    continue()
  endif()
  string(TOUPPER "${system}" upper)
  # Thousands of tiny kernels.
  seqboat_test(thrust_${system} SOURCES ${thrust_sources} LIBRARIES seqboat::thrust PREFIX "${system}/" LABELS thrust LESS_OPTIMISED
    DEFINITIONS SMA_TEST_THRUST_SYSTEM=${system} THRUST_DEVICE_SYSTEM=THRUST_DEVICE_SYSTEM_${upper} SMA_POISON_FRESH_MEMORY
    ENVIRONMENT OMP_NUM_THREADS=2 OMP_WAIT_POLICY=passive)
  seqboat_precompile_for(thrust_${system} "${CMAKE_CURRENT_SOURCE_DIR}/thrust/system.hpp")
  # Thrust finds the system of a pointer through a reference that is bound to null.
  if(SEQBOAT_SANITIZE MATCHES "undefined")
    target_compile_options(thrust_${system} PRIVATE -fno-sanitize=null)
  endif()
endforeach()

# Of each kind of model one; the rest is golden_cuda's. On the system whose threads run as a GPU's do, where it is there.
if(COMMAND seqboat_golden_sources)
  if(TARGET OpenMP::OpenMP_CXX)
    set(system omp)
  else()
    set(system cpp)
  endif()
  string(TOUPPER "${system}" upper)
  seqboat_golden_sources(sources "${out}/${system}" --units 1 --only
    layer_bidir_softmax_simple_layernorm_pre.safetensors layer_all_active.safetensors layer_none_active.safetensors
    layer_causal_relu2_local_rmsnorm_pre.safetensors lm_causal_softmax_rotary.safetensors
    lra_image_batchnorm_pre_apos_trajectory.safetensors)
  seqboat_test(golden_${system} WHOLE SOURCES ${sources} "${out}/directory.cpp" LIBRARIES seqboat::thrust LABELS thrust
    LESS_OPTIMISED DEFINITIONS SMA_TEST_THRUST_SYSTEM=${system} THRUST_DEVICE_SYSTEM=THRUST_DEVICE_SYSTEM_${upper}
    ENVIRONMENT OMP_NUM_THREADS=2 OMP_WAIT_POLICY=passive)
  if(SEQBOAT_SANITIZE MATCHES "undefined")
    target_compile_options(golden_${system} PRIVATE -fno-sanitize=null)
  endif()
endif()

if(SEQBOAT_SANITIZE OR NOT CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  return()
endif()
include("${PROJECT_SOURCE_DIR}/cmake/seqboat-cuda.cmake")
if(NOT SEQBOAT_CUDA)
  if(SEQBOAT_BUILD_CUDA)
    set(why "no working nvcc")
  else()
    set(why "SEQBOAT_BUILD_CUDA is off")
  endif()
  message(STATUS "seqboat: ${why}, thrust_cuda is not built")
  return()
endif()
# For the host's part; what runs on the GPU is optimised all the same.
set(CMAKE_CUDA_FLAGS_RELEASE "-Xcompiler=-Og -DNDEBUG")

seqboat_unite(units thrust_cuda ${thrust_sources})
seqboat_cuda_executable(thrust_cuda SOURCES ${units} HOST_SOURCES thrust/main.cpp LIBRARIES doctest::doctest
  DEFINITIONS SMA_TEST_THRUST_SYSTEM=cuda SMA_POISON_FRESH_MEMORY)
target_include_directories(thrust_cuda PRIVATE "${CMAKE_CURRENT_SOURCE_DIR}")

if(COMMAND seqboat_golden_sources)
  seqboat_golden_sources(sources "${out}/cuda" --units 4)
  seqboat_cuda_executable(golden_cuda SOURCES ${sources} HOST_SOURCES thrust/main.cpp "${out}/directory.cpp"
    LIBRARIES doctest::doctest DEFINITIONS SMA_TEST_THRUST_SYSTEM=cuda)
  target_include_directories(golden_cuda PRIVATE "${CMAKE_CURRENT_SOURCE_DIR}")
  set_target_properties(golden_cuda PROPERTIES EXCLUDE_FROM_ALL TRUE)
endif()
