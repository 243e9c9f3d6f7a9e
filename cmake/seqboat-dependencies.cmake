# What the library's headers include. Imported targets are made global, so that a project that uses seqboat through
# add_subdirectory sees them too. An older Boost.Hana does not compile as C++20.

if(NOT TARGET Boost::headers)
  find_package(Boost 1.81 REQUIRED GLOBAL)
endif()
if(NOT TARGET Eigen3::Eigen)
  find_package(Eigen3 3.4 REQUIRED NO_MODULE GLOBAL)
endif()
if(NOT TARGET Threads::Threads)
  set(THREADS_PREFER_PTHREAD_FLAG ON)
  find_package(Threads REQUIRED GLOBAL)
endif()
