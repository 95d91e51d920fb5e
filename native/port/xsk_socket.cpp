// port/xsk_socket.cpp — setsockopt, mmap and the ring protocol of AF_XDP.
#include "port/xsk_socket.h"

#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <map>
#include <mutex>

#include "base/error.h"
#include "port/device.h"
#include "port/kernel_abi.h"

#ifndef SOL_XDP
#define SOL_XDP 283
#endif
#ifndef AF_XDP
#define AF_XDP 44
#endif

namespace vtep {
namespace {

constexpr uint32_t ring_mask = XskSocket::ring_entries - 1;
static_assert((XskSocket::ring_entries & ring_mask) == 0);
constexpr uint32_t busy_tries = 100;
constexpr uint32_t busy_wait_ms = 10;
constexpr uint32_t kick_max = 128;  // calls per kick(): a copying kernel sends 32 packets per call

uint32_t load(const uint32_t* index) noexcept { return __atomic_load_n(index, __ATOMIC_ACQUIRE); }
void store(uint32_t* index, uint32_t value) noexcept {
  __atomic_store_n(index, value, __ATOMIC_RELEASE);
}
bool wants_wakeup(const uint32_t* flags) noexcept {
  return (__atomic_load_n(flags, __ATOMIC_ACQUIRE) & XDP_RING_NEED_WAKEUP) != 0;
}

// Bound sockets by memory and mode: a new socket shares the registration of any of them.
struct Registration {
  const FramePool* pool;
  bool zero_copy;
  int socket;
};
std::mutex registry_mutex;
std::vector<Registration>& registry() {
  static std::vector<Registration> all;
  return all;
}

std::vector<int> sockets_to_share(const FramePool& pool, bool zero_copy) {
  const std::lock_guard lock(registry_mutex);
  std::vector<int> found;
  for (const Registration& entry : registry())
    if (entry.pool == &pool && entry.zero_copy == zero_copy) found.push_back(entry.socket);
  return found;
}

std::string about(const XskOptions& options) {
  return "opening an AF_XDP socket on queue " + std::to_string(options.queue) + " of device '" +
         options.device + "'";
}

}  // namespace

XskSocket::XskSocket(FramePool& pool, const XskOptions& options)
    : pool_(pool), options_(options), given_((pool.small_count() + 63) / 64) {
  // The kernel lets go of a closed socket's queue only after a while, in a work queue: whoever
  // opens it again at once (a port that is replaced, a datapath that is restarted) finds it busy.
  bool bound = open_once();
  for (uint32_t i = 0; !bound && errno == EBUSY && i < busy_tries; ++i) {
    unmap();
    ::usleep(busy_wait_ms * 1000);
    bound = open_once();
  }
  if (!bound) {
    const int number = errno;
    unmap();
    if (number == EOPNOTSUPP || number == EINVAL)
      throw Error("ERR_XDP_UNSUPPORTED",
                  about(options) +
                      " failed: " + (options.zero_copy ? "no zero-copy" : "no AF_XDP") + " there",
                  number);
    throw_errno(about(options), "CAP_NET_RAW", number);
  }
  const std::lock_guard lock(registry_mutex);
  registry().push_back({&pool, options.zero_copy, socket_.get()});
}

// False and errno when the socket cannot be bound.
bool XskSocket::open_once() {
  for (const int share : sockets_to_share(pool_, options_.zero_copy)) {
    set_up(share);
    if (bind(share)) return true;
    unmap();
  }
  set_up(-1);
  return bind(-1);
}

XskSocket::~XskSocket() {
  {
    const std::lock_guard lock(registry_mutex);
    auto& all = registry();
    all.erase(
        std::remove_if(all.begin(), all.end(),
                       [this](const Registration& entry) { return entry.socket == socket_.get(); }),
        all.end());
  }
  unmap();
  for (uint32_t index = 0; index < pool_.small_count(); ++index) {
    const FrameId frame{index};
    if ((given_[index / 64] >> (index % 64) & 1) != 0) pool_.give(&frame, 1);
  }
}

void XskSocket::unmap() noexcept {
  socket_.close();  // first: from here on the kernel writes to no frame of ours
  for (Ring* ring : {&fill_, &rx_, &tx_, &completion_}) {
    if (ring->memory != nullptr) ::munmap(ring->memory, ring->bytes);
    *ring = Ring{};
  }
}

// Makes the socket and its rings. The memory is registered unless `share` (a socket, or -1) has it.
void XskSocket::set_up(int share) {
  const std::string doing = about(options_);
  socket_ = Fd(::socket(AF_XDP, SOCK_RAW | SOCK_CLOEXEC, 0));
  if (!socket_.open() && errno == EAFNOSUPPORT)
    throw Error("ERR_XDP_UNSUPPORTED", doing + " failed: this kernel has no AF_XDP", errno);
  if (!socket_.open()) throw_errno(doing, "CAP_NET_RAW", errno);
  if (share < 0) {
    xdp_umem_reg memory = {};
    memory.addr = reinterpret_cast<uint64_t>(pool_.small_memory());
    memory.len = pool_.small_memory_bytes();
    memory.chunk_size = small_frame_bytes;
    memory.headroom = 0;  // the kernel's own 256 bytes are more than frame_headroom
    if (::setsockopt(socket_.get(), SOL_XDP, XDP_UMEM_REG, &memory, sizeof memory) != 0)
      throw_errno(doing, "CAP_IPC_LOCK (or a larger RLIMIT_MEMLOCK)", errno);
  }
  const int entries = ring_entries;
  for (const int ring : {XDP_UMEM_FILL_RING, XDP_UMEM_COMPLETION_RING, XDP_RX_RING, XDP_TX_RING})
    if (::setsockopt(socket_.get(), SOL_XDP, ring, &entries, sizeof entries) != 0)
      throw_errno(doing, "CAP_NET_RAW", errno);
  xdp_mmap_offsets offsets = {};
  socklen_t size = sizeof offsets;
  if (::getsockopt(socket_.get(), SOL_XDP, XDP_MMAP_OFFSETS, &offsets, &size) != 0)
    throw_errno(doing, "CAP_NET_RAW", errno);
  if (size != sizeof offsets)
    throw Error("ERR_XDP_UNSUPPORTED", doing + " failed: Linux 5.4 is needed");
  map_ring(fill_, XDP_UMEM_PGOFF_FILL_RING, offsets.fr, sizeof(uint64_t));
  map_ring(completion_, XDP_UMEM_PGOFF_COMPLETION_RING, offsets.cr, sizeof(uint64_t));
  map_ring(rx_, XDP_PGOFF_RX_RING, offsets.rx, sizeof(xdp_desc));
  map_ring(tx_, XDP_PGOFF_TX_RING, offsets.tx, sizeof(xdp_desc));
}

void XskSocket::map_ring(Ring& ring, uint64_t page, const xdp_ring_offset& offset,
                         size_t entry_bytes) {
  ring.bytes = offset.desc + ring_entries * entry_bytes;
  void* memory = ::mmap(nullptr, ring.bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE,
                        socket_.get(), static_cast<off_t>(page));
  if (memory == MAP_FAILED) {
    const int number = errno;
    unmap();
    throw_errno(about(options_), "CAP_NET_RAW", number);
  }
  auto* bytes = static_cast<uint8_t*>(memory);
  ring.memory = memory;
  ring.producer = reinterpret_cast<uint32_t*>(bytes + offset.producer);
  ring.consumer = reinterpret_cast<uint32_t*>(bytes + offset.consumer);
  ring.flags = reinterpret_cast<uint32_t*>(bytes + offset.flags);
  ring.entries = bytes + offset.desc;
}

// False and errno on failure. A sharing socket inherits the flags of the other.
bool XskSocket::bind(int share) noexcept {
  sockaddr_xdp address = {};
  address.sxdp_family = AF_XDP;
  address.sxdp_ifindex = options_.ifindex;
  address.sxdp_queue_id = options_.queue;
  if (share >= 0) {
    address.sxdp_flags = XDP_SHARED_UMEM;
    address.sxdp_shared_umem_fd = static_cast<uint32_t>(share);
    return ::bind(socket_.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) == 0;
  }
  const uint16_t mode = options_.zero_copy ? XDP_ZEROCOPY : XDP_COPY;
  for (const uint16_t sg : {kernel::xdp_use_sg, uint16_t{0}}) {
    address.sxdp_flags = static_cast<uint16_t>(mode | XDP_USE_NEED_WAKEUP | sg);
    if (::bind(socket_.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) == 0)
      return true;
    if (errno != EINVAL && errno != EOPNOTSUPP) return false;
  }
  return false;
}

void XskSocket::refill(FrameCache& frames) noexcept {
  constexpr uint32_t at_once = 64;
  FrameId batch[at_once];
  auto* entries = static_cast<uint64_t*>(fill_.entries);
  const uint32_t before = fill_.head;
  while (filled_ < options_.fill_target) {
    const uint32_t got =
        frames.alloc_small(batch, std::min(at_once, options_.fill_target - filled_));
    for (uint32_t i = 0; i < got; ++i) {
      entries[fill_.head++ & ring_mask] = uint64_t{batch[i].index()} * small_frame_bytes;
      mark(batch[i]);
    }
    filled_ += got;
    if (got == 0) break;
  }
  if (fill_.head == before) return;
  store(fill_.producer, fill_.head);
  if (wants_wakeup(fill_.flags))
    ::recvfrom(socket_.get(), nullptr, 0, MSG_DONTWAIT, nullptr, nullptr);
}

uint32_t XskSocket::receive(xdp_desc* descriptors, uint32_t max) noexcept {
  const uint32_t ready = load(rx_.producer) - rx_.head;
  const uint32_t count = std::min(ready, max);
  const auto* entries = static_cast<const xdp_desc*>(rx_.entries);
  for (uint32_t i = 0; i < count; ++i) {
    descriptors[i] = entries[rx_.head++ & ring_mask];
    unmark(pool_.small_frame_at(descriptors[i].addr));
  }
  filled_ -= count;
  if (count != 0) store(rx_.consumer, rx_.head);
  return count;
}

bool XskSocket::reserve(uint32_t count) noexcept { return tx_free_ >= count; }

void XskSocket::push(FrameId frame, xdp_desc descriptor) noexcept {
  static_cast<xdp_desc*>(tx_.entries)[tx_.head++ & ring_mask] = descriptor;
  mark(frame);
  --tx_free_;
}

void XskSocket::kick() noexcept {
  if (load(tx_.producer) != tx_.head) store(tx_.producer, tx_.head);
  for (uint32_t i = 0; i < kick_max && load(tx_.consumer) != tx_.head && wants_wakeup(tx_.flags);
       ++i) {
    if (::sendto(socket_.get(), nullptr, 0, MSG_DONTWAIT, nullptr, 0) >= 0) continue;
    // EAGAIN: more is left than one call sends, or the socket's send buffer is full. The rest goes
    // with the next kick; a link that is down keeps it.
    if (errno != EAGAIN && errno != EINTR && errno != EBUSY) return;
  }
}

void XskSocket::reclaim(FrameCache& frames) noexcept {
  const uint32_t ready = load(completion_.producer) - completion_.head;
  const auto* entries = static_cast<const uint64_t*>(completion_.entries);
  for (uint32_t i = 0; i < ready; ++i) {
    const FrameId frame = pool_.small_frame_at(entries[completion_.head++ & ring_mask]);
    unmark(frame);
    frames.free(frame);
  }
  tx_free_ += ready;
  if (ready != 0) store(completion_.consumer, completion_.head);
}

uint64_t XskSocket::take_kernel_drops() noexcept {
  xdp_statistics counted = {};
  socklen_t size = sizeof counted;
  if (::getsockopt(socket_.get(), SOL_XDP, XDP_STATISTICS, &counted, &size) != 0) return 0;
  const uint64_t total = counted.rx_dropped + counted.rx_ring_full;
  return total - std::exchange(drops_seen_, total);
}

}  // namespace vtep
