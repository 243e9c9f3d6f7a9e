/// All that sma/io defines, once: for programs whose units are compiled with SMA_IO_COMPILED. The target seqboat::io does so.

#if !defined(SMA_IO_COMPILED)
#error "sma/io/io.cpp is for programs of which all units are compiled with -DSMA_IO_COMPILED"
#endif

#include <sma/io/atomic_file-inl.hpp>
#include <sma/io/json-inl.hpp>
#include <sma/io/safetensors-inl.hpp>

namespace sma::detail::safetensors {

#define SMA_IO_CONVERTS_TO(T) \
  template void convert(const std::string& path, const TensorInfo& tensor, const std::byte* from, T* to);
SMA_IO_CONVERTS_TO(bool)
SMA_IO_CONVERTS_TO(float)
SMA_IO_CONVERTS_TO(double)
SMA_IO_CONVERTS_TO(signed char)
SMA_IO_CONVERTS_TO(unsigned char)
SMA_IO_CONVERTS_TO(short)
SMA_IO_CONVERTS_TO(unsigned short)
SMA_IO_CONVERTS_TO(int)
SMA_IO_CONVERTS_TO(unsigned)
SMA_IO_CONVERTS_TO(long)
SMA_IO_CONVERTS_TO(unsigned long)
SMA_IO_CONVERTS_TO(long long)
SMA_IO_CONVERTS_TO(unsigned long long)
#undef SMA_IO_CONVERTS_TO

}  // namespace sma::detail::safetensors
