# Headers of the DSL, of SeqBoat and of the backends go under one include directory; find_package(seqboat) finds the rest.

include(CMakePackageConfigHelpers)
set(SEQBOAT_PACKAGE_DIR "${CMAKE_INSTALL_LIBDIR}/cmake/seqboat")

foreach(directory IN ITEMS include backends/eigen/include backends/thrust/include)
  if(IS_DIRECTORY "${CMAKE_CURRENT_SOURCE_DIR}/${directory}")
    install(DIRECTORY ${directory}/ DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}"
      FILES_MATCHING PATTERN "*.hpp" PATTERN "sma/io/io.cpp")
  endif()
endforeach()
install(TARGETS seqboat_sma seqboat_seqboat seqboat_eigen EXPORT seqboat-targets)
install(EXPORT seqboat-targets NAMESPACE seqboat:: DESTINATION "${SEQBOAT_PACKAGE_DIR}")

configure_package_config_file(cmake/seqboat-config.cmake.in "${CMAKE_CURRENT_BINARY_DIR}/seqboat-config.cmake"
  INSTALL_DESTINATION "${SEQBOAT_PACKAGE_DIR}" PATH_VARS CMAKE_INSTALL_INCLUDEDIR)
write_basic_package_version_file("${CMAKE_CURRENT_BINARY_DIR}/seqboat-config-version.cmake"
  COMPATIBILITY SameMinorVersion ARCH_INDEPENDENT)
install(FILES
  "${CMAKE_CURRENT_BINARY_DIR}/seqboat-config.cmake"
  "${CMAKE_CURRENT_BINARY_DIR}/seqboat-config-version.cmake"
  cmake/seqboat-cccl.cmake
  cmake/seqboat-dependencies.cmake
  cmake/seqboat-io.cmake
  DESTINATION "${SEQBOAT_PACKAGE_DIR}")
install(FILES LICENSE DESTINATION "${CMAKE_INSTALL_DOCDIR}")
