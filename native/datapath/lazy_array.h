// datapath/lazy_array.h — a large zeroed array whose memory is taken page by page, on first use.
//
// Why:    tables are sized for the worst case at start, and an idle host pays only for what it
//         touched.
// Thread: as its owner says. Limits: fixed at construction.
#pragma once

#include <sys/mman.h>

#include <cerrno>
#include <cstddef>
#include <type_traits>

#include "base/error.h"

namespace vtep {

template <typename T>
class LazyArray {
  static_assert(std::is_trivially_destructible_v<T>, "elements begin as zero bytes and just go");

 public:
  // Throws Error{ERR_LIMIT} when the address space cannot be had; `what` names the array in it.
  LazyArray(size_t count, const char* what) : count_(count) {
    void* memory = mmap(nullptr, count * sizeof(T), PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED)
      throw Error("ERR_LIMIT", std::string("no memory for ") + what, errno);
    elements_ = static_cast<T*>(memory);
  }
  ~LazyArray() { munmap(elements_, count_ * sizeof(T)); }
  LazyArray(const LazyArray&) = delete;
  LazyArray& operator=(const LazyArray&) = delete;

  T& operator[](size_t index) noexcept { return elements_[index]; }
  const T& operator[](size_t index) const noexcept { return elements_[index]; }
  T* data() const noexcept { return elements_; }
  size_t size() const noexcept { return count_; }

 private:
  T* elements_ = nullptr;  // zero bytes until written
  size_t count_;           // of elements_
};

}  // namespace vtep
