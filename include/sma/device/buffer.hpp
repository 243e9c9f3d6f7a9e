#pragma once

#include <algorithm>
#include <cstddef>
#include <sma/device/backend.hpp>
#include <sma/device/fill.hpp>
#include <utility>

namespace sma::detail {

/// Memory of a backend with a fixed element count; zeroed.
template <class Backend, class T>
class DeviceBuffer {
 public:
  DeviceBuffer() = default;
  explicit DeviceBuffer(Index count) { grow(count); }
  /// Not zeroed: pages that nobody writes take no memory where the system gives them when they are touched.
  static DeviceBuffer unset(Index count) {
    DeviceBuffer buffer;
    buffer.allocate(count);
    return buffer;
  }
  DeviceBuffer(const DeviceBuffer&) = delete;
  DeviceBuffer& operator=(const DeviceBuffer&) = delete;
  DeviceBuffer(DeviceBuffer&& o) noexcept
      : data_(std::exchange(o.data_, nullptr)), size_(std::exchange(o.size_, 0)) {}
  DeviceBuffer& operator=(DeviceBuffer&& o) noexcept {
    std::swap(data_, o.data_);
    std::swap(size_, o.size_);
    return *this;
  }
  ~DeviceBuffer() {
    if (data_ != nullptr) Backend::deallocate(data_);
  }

  /// Makes room for `count` elements; what was there is lost when it grows.
  void grow(Index count) {
    if (count <= size_ && data_ != nullptr) return;
    if (data_ != nullptr) Backend::deallocate(data_);
    allocate(count);
    fill(T{});
  }
  void fill(T value) { Backend::for_each_index(size_, ops::Fill<T>{data_, size_, value}); }
  void upload(const T* host, Index count) {
    Backend::upload(data_, host, static_cast<std::size_t>(count) * sizeof(T));
  }
  void download(T* host, Index count) const {
    Backend::download(host, data_, static_cast<std::size_t>(count) * sizeof(T));
  }
  [[nodiscard]] T* data() const { return data_; }
  [[nodiscard]] Index size() const { return size_; }

 private:
  void allocate(Index count) {
    size_ = std::max<Index>(count, 1);
    data_ = static_cast<T*>(Backend::allocate(static_cast<std::size_t>(size_) * sizeof(T)));
  }

  T* data_ = nullptr;
  Index size_ = 0;
};

}  // namespace sma::detail
