// datapath/lazy_array.h — a large zeroed array whose memory is taken page by page, on first use.
//
// Why:    tables are sized for the worst case at start, and an idle host pays only for what it
//         touched. A large table that is looked up at random asks for huge pages: with small ones
//         nearly every lookup misses the TLB.
// Thread: as its owner says. Limits: fixed at construction.
#pragma once

#include <sys/mman.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <type_traits>

#include "base/error.h"

namespace vtep {

// What a table's memory is taken in. Huge is a wish, for tables of at least huge_array_bytes only:
// a smaller one would take a good part of itself at once, on an idle host too.
enum class PageSize : uint32_t { Small, Huge };
constexpr size_t huge_page_bytes = 2u << 20;
constexpr size_t huge_array_bytes = 32u << 20;

template <typename T>
class LazyArray {
  static_assert(std::is_trivially_destructible_v<T>, "elements begin as zero bytes and just go");

 public:
  // Throws Error{ERR_LIMIT} when the address space cannot be had; `what` names the array in it.
  LazyArray(size_t count, const char* what, PageSize pages = PageSize::Small) : count_(count) {
    const size_t bytes = count * sizeof(T);
    const bool huge = pages == PageSize::Huge && bytes >= huge_array_bytes;
    // Kernels before 6.7 align to small pages, and what stands before the first huge one is lost.
    mapped_bytes_ = huge ? bytes + huge_page_bytes : bytes;
    mapped_ = mmap(nullptr, mapped_bytes_, PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (mapped_ == MAP_FAILED)
      throw Error("ERR_LIMIT", std::string("no memory for ") + what, errno);
    void* memory = mapped_;
    if (huge) {
      size_t room = mapped_bytes_;
      std::align(huge_page_bytes, bytes, memory, room);
      madvise(memory, bytes, MADV_HUGEPAGE);
    }
    elements_ = static_cast<T*>(memory);
  }
  ~LazyArray() { munmap(mapped_, mapped_bytes_); }
  LazyArray(const LazyArray&) = delete;
  LazyArray& operator=(const LazyArray&) = delete;

  T& operator[](size_t index) noexcept { return elements_[index]; }
  const T& operator[](size_t index) const noexcept { return elements_[index]; }
  T* data() const noexcept { return elements_; }
  size_t size() const noexcept { return count_; }

 private:
  T* elements_ = nullptr;  // zero bytes until written
  size_t count_;           // of elements_
  void* mapped_ = nullptr;
  size_t mapped_bytes_ = 0;
};

}  // namespace vtep
