#pragma once

/// cuBLAS's matrix products, what a linear layer is measured against. The library is looked for when the program runs, so that the
/// program starts without it: at SEQBOAT_CUBLAS, then where the system looks.
namespace bench::blas {

enum class Precision { fp32, tf32 };

/// Device memory, row-major: c (m, n) = a (m, k) b^T, b (n, k): a linear layer's forward product.
struct Product {
  int m, n, k;
  const float* a;
  const float* b;
  float* c;
};

/// Whether there is a library; false where there is none, or no GPU.
bool available();
/// Starts the product on the legacy default stream. Throws `sma::Error`.
void multiply(const Product& p, Precision precision);

}  // namespace bench::blas
