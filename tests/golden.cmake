# golden_tests: sources written from the manifest at configure time, again whenever the manifest or the generator changes.
# The generator also writes sources.txt, the names of what it wrote.

set(generator "${CMAKE_CURRENT_SOURCE_DIR}/golden/generate.py")
set(manifest "${SEQBOAT_GOLDEN_DIR}/manifest.json")
set(out "${CMAKE_CURRENT_BINARY_DIR}/golden")

if(NOT EXISTS "${generator}")
  message(STATUS "seqboat: no ${generator}, golden_tests are not built")
  return()
endif()
if(NOT EXISTS "${manifest}")
  message(FATAL_ERROR "seqboat: SEQBOAT_GOLDEN_DIR=${SEQBOAT_GOLDEN_DIR} holds no manifest.json")
endif()
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS "${generator}" "${manifest}")

# seqboat_golden_sources(result out [ARGUMENTS...]): what the generator writes to directory `out`.
function(seqboat_golden_sources result out)
  execute_process(
    COMMAND "${Python3_EXECUTABLE}" "${generator}" --manifest "${manifest}" --out "${out}" ${ARGN}
    RESULT_VARIABLE status OUTPUT_VARIABLE text ERROR_VARIABLE text)
  if(NOT status EQUAL 0)
    message(FATAL_ERROR "seqboat: golden/generate.py failed (${status}):\n${text}")
  endif()
  file(STRINGS "${out}/sources.txt" names)
  set(sources)
  foreach(name IN LISTS names)
    cmake_path(ABSOLUTE_PATH name BASE_DIRECTORY "${out}")
    list(APPEND sources "${name}")
  endforeach()
  set(${result} ${sources} PARENT_SCOPE)
endfunction()

# A unit compiles once what its files have in common. In float as users compile it.
set(sources)
foreach(scalar IN LISTS SEQBOAT_GOLDEN_SCALARS)
  seqboat_golden_sources(of_scalar "${out}/${scalar}" --units 2 --scalars ${scalar})
  if(scalar STREQUAL "double" AND SEQBOAT_UNTIMED)
    set_source_files_properties(${of_scalar} PROPERTIES COMPILE_OPTIONS "${SEQBOAT_LESS_OPTIMISED}")
  endif()
  list(APPEND sources ${of_scalar})
endforeach()
file(CONFIGURE OUTPUT "${out}/directory.cpp" CONTENT
  "namespace golden {\nextern const char* const directory;\nconst char* const directory = \"${SEQBOAT_GOLDEN_DIR}\";\n}\n" @ONLY)
list(APPEND sources "${out}/directory.cpp")
file(GLOB written_by_hand CONFIGURE_DEPENDS golden/*.cpp)

seqboat_test(golden_tests WHOLE SOURCES ${sources} ${written_by_hand} LABELS golden)
target_include_directories(golden_tests PRIVATE "${CMAKE_CURRENT_SOURCE_DIR}/golden" "${out}")
add_dependencies(portable_tests golden_tests)
