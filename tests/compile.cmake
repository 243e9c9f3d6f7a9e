# What the compiler itself must accept or refuse.

# compile_fail/NAME.cpp does not compile, and the compiler says the words of its `// expected-error:` lines.
file(GLOB compile_fail CONFIGURE_DEPENDS compile_fail/*.cpp)
set(check_compile_fail "${Python3_EXECUTABLE}" "${CMAKE_CURRENT_SOURCE_DIR}/compile_fail/check.py"
  --compiler "${CMAKE_CXX_COMPILER}"
  --include "$<TARGET_PROPERTY:seqboat_seqboat,INTERFACE_INCLUDE_DIRECTORIES>\;$<TARGET_PROPERTY:seqboat_eigen,INTERFACE_INCLUDE_DIRECTORIES>"
  --headers "${CMAKE_CURRENT_BINARY_DIR}/compile_fail/headers.hpp")
add_test(NAME compile_fail COMMAND ${check_compile_fail} --precompile "${CMAKE_CURRENT_SOURCE_DIR}/compile_fail/headers.hpp")
set_tests_properties(compile_fail PROPERTIES LABELS compile TIMEOUT 300 FIXTURES_SETUP compile_fail)
foreach(source IN LISTS compile_fail)
  cmake_path(GET source STEM name)
  add_test(NAME compile_fail/${name} COMMAND ${check_compile_fail} "${source}")
  set_tests_properties(compile_fail/${name} PROPERTIES LABELS compile TIMEOUT 300 FIXTURES_REQUIRED compile_fail)
endforeach()

# Writes `text` unless the file holds it already, so that nothing is compiled again for no reason.
function(seqboat_write path text)
  file(CONFIGURE OUTPUT "${path}" CONTENT "${text}" @ONLY)
endfunction()

set(all_headers)
set(everything)
set(alone)
set(alone_thrust)
foreach(directory IN ITEMS include backends/eigen/include backends/thrust/include)
  file(GLOB_RECURSE headers CONFIGURE_DEPENDS
    RELATIVE "${PROJECT_SOURCE_DIR}/${directory}" "${PROJECT_SOURCE_DIR}/${directory}/*.hpp")
  foreach(header IN LISTS headers)
    if(header MATCHES "^sma/(eigen|thrust)/")
      continue()  # a part of a backend is included by the whole alone
    endif()
    string(REGEX REPLACE "[^a-zA-Z0-9]" "_" name "${header}")
    set(unit "${CMAKE_CURRENT_BINARY_DIR}/headers/${name}.cpp")
    seqboat_write("${unit}" "#include <${header}>\n#include <${header}>\n")
    if(directory MATCHES "thrust")
      list(APPEND alone_thrust "${unit}")
    else()
      list(APPEND alone "${unit}")
      string(APPEND everything "#include <${header}>\n")
    endif()
  endforeach()
endforeach()

# Every public header compiles alone, and twice. No optimisation: only the front end is of interest.
add_library(headers_alone OBJECT ${alone})
target_link_libraries(headers_alone PRIVATE seqboat::seqboat seqboat::eigen seqboat_flags)
target_compile_options(headers_alone PRIVATE -O0)
target_compile_definitions(headers_alone PRIVATE SMA_IO_COMPILED)  # two_units_link has the other form
if(TARGET seqboat_thrust AND alone_thrust)
  add_library(headers_alone_thrust OBJECT ${alone_thrust})
  target_link_libraries(headers_alone_thrust PRIVATE seqboat::seqboat seqboat::thrust seqboat_flags)
  target_compile_definitions(headers_alone_thrust PRIVATE THRUST_DEVICE_SYSTEM=THRUST_DEVICE_SYSTEM_CPP)
  target_compile_options(headers_alone_thrust PRIVATE -O0)
endif()

# Two translation units that include everything link: no definition is there twice.
seqboat_write("${CMAKE_CURRENT_BINARY_DIR}/odr/a.cpp" "${everything}\nint b();\nint main() { return b(); }\n")
seqboat_write("${CMAKE_CURRENT_BINARY_DIR}/odr/b.cpp" "${everything}\nint b();\nint b() { return 0; }\n")
seqboat_executable(two_units_link SOURCES "${CMAKE_CURRENT_BINARY_DIR}/odr/a.cpp" "${CMAKE_CURRENT_BINARY_DIR}/odr/b.cpp")
# Files as headers alone have them: what two units define is inline.
target_compile_options(two_units_link PRIVATE -O0 -USMA_IO_COMPILED)
add_test(NAME two_units_link COMMAND two_units_link)
set_tests_properties(two_units_link PROPERTIES LABELS compile)
add_dependencies(portable_tests two_units_link)
