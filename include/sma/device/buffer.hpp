#pragma once

#include <algorithm>
#include <cstddef>
#include <sma/device/backend.hpp>
#include <sma/device/fill.hpp>
#include <utility>

namespace sma::detail {

/// Memory of a backend, which must outlive it, with a fixed element count; zeroed.
template <class Backend, class T>
class DeviceBuffer {
 public:
  explicit DeviceBuffer(Backend& backend) : backend_(&backend) {}
  DeviceBuffer(Backend& backend, Index count) : backend_(&backend) { grow(count); }
  /// Not zeroed: pages that nobody writes take no memory where the system gives them when they are touched.
  static DeviceBuffer unset(Backend& backend, Index count) {
    DeviceBuffer buffer(backend);
    buffer.allocate(count);
    return buffer;
  }
  DeviceBuffer(const DeviceBuffer&) = delete;
  DeviceBuffer& operator=(const DeviceBuffer&) = delete;
  DeviceBuffer(DeviceBuffer&& o) noexcept
      : backend_(o.backend_), data_(std::exchange(o.data_, nullptr)), size_(std::exchange(o.size_, 0)) {}
  DeviceBuffer& operator=(DeviceBuffer&& o) noexcept {
    std::swap(backend_, o.backend_);
    std::swap(data_, o.data_);
    std::swap(size_, o.size_);
    return *this;
  }
  ~DeviceBuffer() {
    if (data_ != nullptr) backend_->deallocate(data_);
  }

  /// Makes room for `count` elements; what was there is lost when it grows.
  void grow(Index count) {
    if (count <= size_ && data_ != nullptr) return;
    if (data_ != nullptr) backend_->deallocate(data_);
    allocate(count);
    fill(T{});
  }
  void fill(T value) { backend_->for_each_index(size_, ops::Fill<T>{data_, size_, value}); }
  void upload(const T* host, Index count) {
    backend_->upload(data_, host, static_cast<std::size_t>(count) * sizeof(T));
  }
  /// The host's memory holds them after the backend's `wait`.
  void download(T* host, Index count) const {
    backend_->download(host, data_, static_cast<std::size_t>(count) * sizeof(T));
  }
  [[nodiscard]] T* data() const { return data_; }
  [[nodiscard]] Index size() const { return size_; }

 private:
  void allocate(Index count) {
    size_ = std::max<Index>(count, 1);
    data_ = static_cast<T*>(backend_->allocate(static_cast<std::size_t>(size_) * sizeof(T)));
  }

  Backend* backend_;
  T* data_ = nullptr;
  Index size_ = 0;
};

}  // namespace sma::detail
