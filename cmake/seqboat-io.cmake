# seqboat::io: what sma/io defines, compiled once, instead of in every unit that includes it. For the sources and, installed, for
# find_package(seqboat).

# seqboat_add_io(include): `include` holds sma/io/io.cpp. Makes nothing, and says so in a line, where there is no nlohmann-json. Nothing
# is compiled unless a target is linked with it.
function(seqboat_add_io include)
  if(NOT TARGET nlohmann_json::nlohmann_json)
    message(STATUS "seqboat: found no nlohmann-json, expected 3.11 or later for files (sma/io, sma/train), seqboat::io is not built")
    return()
  endif()
  add_library(seqboat_io STATIC EXCLUDE_FROM_ALL "${include}/sma/io/io.cpp")
  add_library(seqboat::io ALIAS seqboat_io)
  set_target_properties(seqboat_io PROPERTIES CXX_EXTENSIONS OFF POSITION_INDEPENDENT_CODE ON)
  target_link_libraries(seqboat_io PUBLIC seqboat::sma)
  target_compile_definitions(seqboat_io PUBLIC SMA_IO_COMPILED)
endfunction()
