// datapath/grace.h — when may the control thread free what workers may still be reading?
//
// Why:    workers follow pointers without a lock. The control thread publishes the new pointer,
//         and frees the old thing only after every worker has passed the end of the breath it was
//         in.
//
//   Who      Change                          When
//   control  publishes a pointer             any time
//   control  epoch + 1 = E                   retire() or synchronize()
//   worker   seen = epoch                    start of each breath; holds no old pointer then
//   worker   seen = away                     before it sleeps; holds no pointer at all
//   worker   seen = epoch, then reads        after it woke
//   control  frees                           every worker has seen >= E, or is away
//
// Thread: one control thread; enter() and leave() by each worker for itself.
// Owner:  retired things belong to Grace until they are freed.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <vector>

#include "base/limits.h"

namespace vtep {

class Grace {
 public:
  explicit Grace(uint32_t worker_count) noexcept : worker_count_(worker_count) {}

  // Worker: at the start of each breath, before any shared pointer is read.
  void enter(uint32_t worker) noexcept {
    Seen& seen = seen_[worker];
    const uint64_t epoch = epoch_.load(std::memory_order_acquire);
    if (seen.epoch.load(std::memory_order_relaxed) == epoch) return;
    seen.epoch.store(epoch, std::memory_order_release);
    // Orders the store before the reads of pointers: the control thread fences between the two as
    // well.
    std::atomic_thread_fence(std::memory_order_seq_cst);
  }
  // Worker: before it sleeps or stops; it holds no shared pointer until it enters again.
  void leave(uint32_t worker) noexcept {
    seen_[worker].epoch.store(away, std::memory_order_release);
  }

  // Control: frees `thing` once no worker can read it any more; now, or in a later call.
  template <typename T>
  void retire(std::unique_ptr<T> thing) {
    if (thing == nullptr) return;
    add({next_epoch(), std::shared_ptr<const void>(std::move(thing))});
  }
  // Control: returns when every worker has passed the end of its breath or is away.
  void synchronize();
  // Control: frees what can be freed now. Returns how many things still wait.
  uint32_t collect();

 private:
  static constexpr uint64_t away = ~0ull;
  struct alignas(cache_line_bytes) Seen {
    std::atomic<uint64_t> epoch{away};  // written by its worker
  };
  struct Retired {
    uint64_t epoch;                      // freed when all workers have seen it
    std::shared_ptr<const void> thing;
  };

  uint64_t next_epoch() noexcept;
  bool passed(uint64_t epoch) const noexcept;
  void add(Retired retired);

  uint32_t worker_count_;
  alignas(cache_line_bytes) std::atomic<uint64_t> epoch_{1};  // written by the control thread
  Seen seen_[worker_max];
  std::vector<Retired> retired_;  // oldest first
};

}  // namespace vtep
