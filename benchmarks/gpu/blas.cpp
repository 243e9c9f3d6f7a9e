#include "blas.hpp"

#include <sma/base/error.hpp>
#include <string>

#if defined(__CUDACC__)

#include <cublas_v2.h>
#include <dlfcn.h>

#include <cstdlib>

namespace bench::blas {

namespace {

struct Library {
  decltype(&cublasCreate_v2) create = nullptr;
  decltype(&cublasSetMathMode) set_math_mode = nullptr;
  decltype(&cublasSgemm_v2) sgemm = nullptr;
  cublasHandle_t handle = nullptr;

  Library() {
    const char* given = std::getenv("SEQBOAT_CUBLAS");
    void* file = nullptr;
    for (const char* name :
         {given, "libcublas.so.13", "/usr/local/cuda/lib64/libcublas.so.13", "libcublas.so"})
      if (file == nullptr && name != nullptr) file = dlopen(name, RTLD_NOW | RTLD_LOCAL);
    if (file == nullptr) return;
    create = reinterpret_cast<decltype(create)>(dlsym(file, "cublasCreate_v2"));
    set_math_mode = reinterpret_cast<decltype(set_math_mode)>(dlsym(file, "cublasSetMathMode"));
    sgemm = reinterpret_cast<decltype(sgemm)>(dlsym(file, "cublasSgemm_v2"));
    if (create == nullptr || set_math_mode == nullptr || sgemm == nullptr) return;
    if (create(&handle) != CUBLAS_STATUS_SUCCESS) handle = nullptr;
  }
};

const Library& library() {
  static const Library one;
  return one;
}

void check(cublasStatus_t status) {
  if (status != CUBLAS_STATUS_SUCCESS)
    throw sma::Error("bench_gpu: cuBLAS: found status " + std::to_string(static_cast<int>(status)) +
                     ", expected a product");
}

}  // namespace

bool available() { return library().handle != nullptr; }

void multiply(const Product& p, Precision precision) {
  const Library& blas = library();
  check(blas.set_math_mode(blas.handle,
                           precision == Precision::tf32 ? CUBLAS_TF32_TENSOR_OP_MATH : CUBLAS_DEFAULT_MATH));
  const float one = 1, zero = 0;
  // What is row-major here is the transpose there.
  check(blas.sgemm(blas.handle, CUBLAS_OP_T, CUBLAS_OP_N, p.n, p.m, p.k, &one, p.b, p.k, p.a, p.k, &zero, p.c,
                   p.n));
}

}  // namespace bench::blas

#else

namespace bench::blas {

bool available() { return false; }
void multiply(const Product&, Precision) {
  throw sma::Error("bench_gpu: found no GPU, expected one for cuBLAS");
}

}  // namespace bench::blas

#endif
