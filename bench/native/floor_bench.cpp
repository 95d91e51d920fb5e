// bench/native/floor_bench.cpp — what the bare work of a VXLAN encapsulation costs on this machine:
// the limit that a whole switch is held against. One JSON line per round.
//
//   floor_bench [--flows N] [--burst B] [--rounds R] [--seconds S] [--order sequential|random]
//               [--pcap FILE]
//
// Per packet: copy the frame into a buffer (the receive), check and parse Ethernet, IPv4 and UDP
// into a key of 40 bytes, hash it, compare the tags of one bucket, compare and count in one entry,
// lay down a prebuilt outer header, patch lengths, checksum and source port. No connections,
// offloads, tunnels to open, ports, drops: a real switch adds those. Every packet must be found, or
// it is an error.
#include <sys/mman.h>

#include <algorithm>
#include <bit>
#include <cstdio>
#include <cstring>
#include <stdexcept>
#include <string>
#include <vector>

#include "base/be.h"
#include "base/limits.h"
#include "bench/native/cycles.h"
#include "bench/native/input.h"
#include "bench/native/options.h"

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

namespace {

using namespace vtep;         // NOLINT: a bench is a file of its own
using namespace vtep::bench;  // NOLINT

constexpr uint32_t frame_bytes = 60;
constexpr uint32_t buffer_count = 1024;
constexpr uint32_t buffer_bytes = 2048;
constexpr uint32_t headroom = 128;
constexpr uint32_t outer_bytes = 50;
constexpr uint32_t sample_packets = 256;
constexpr uint32_t tags_per_bucket = 8;

struct Key {
  uint64_t words[5];
};
struct alignas(cache_line_bytes) Entry {
  Key key;
  uint32_t action;
  uint32_t state;
  uint64_t packets;
  uint64_t bytes;
};
struct alignas(cache_line_bytes) Bucket {
  uint16_t tags[tags_per_bucket];
  uint32_t entries[tags_per_bucket];  // 0: none
};
static_assert(sizeof(Entry) == cache_line_bytes && sizeof(Bucket) == cache_line_bytes);

// Zeroed memory in huge pages, if the kernel likes.
template <typename T>
class Pages {
 public:
  explicit Pages(size_t count) : bytes_(count * sizeof(T) + huge_bytes) {
    void* mapped =
        mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (mapped == MAP_FAILED) throw std::runtime_error("out of memory");
    memory_ = static_cast<uint8_t*>(mapped);
    const size_t past = reinterpret_cast<uintptr_t>(memory_) % huge_bytes;
    first_ = reinterpret_cast<T*>(memory_ + (past == 0 ? 0 : huge_bytes - past));
    madvise(first_, count * sizeof(T), MADV_HUGEPAGE);
    memset(static_cast<void*>(first_), 0, count * sizeof(T));
  }
  ~Pages() { munmap(memory_, bytes_); }
  Pages(const Pages&) = delete;
  Pages& operator=(const Pages&) = delete;
  T& operator[](size_t at) noexcept { return first_[at]; }

 private:
  static constexpr size_t huge_bytes = size_t{2} << 20;
  const size_t bytes_;
  uint8_t* memory_ = nullptr;
  T* first_ = nullptr;
};

template <typename T>
T load(const uint8_t* from) {
  T value;
  memcpy(&value, from, sizeof value);
  return value;
}

bool well_formed(const uint8_t* frame, uint32_t length) {
  const uint32_t total = load_be16(frame + 16).host();
  return length >= 42 && load_be16(frame + 12) == be16(0x0800) && frame[14] == 0x45 &&
         total >= 28 && total <= length - 14;
}

Key parse(const uint8_t* frame, uint64_t port) {
  const uint64_t macs = load<uint32_t>(frame + 8);
  return {{load<uint64_t>(frame), macs | port << 48 | uint64_t{frame[23]} << 32,
           load<uint64_t>(frame + 26), load<uint32_t>(frame + 34),
           uint64_t{frame[15]} << 8 | uint64_t{load<uint16_t>(frame + 20)} << 16}};
}

uint64_t fold(uint64_t a, uint64_t b) {
  __extension__ using Wide = unsigned __int128;
  const Wide product = Wide{a} * b;
  return static_cast<uint64_t>(product) ^ static_cast<uint64_t>(product >> 64);
}

uint64_t hash(const Key& key) {
  const uint64_t* w = key.words;
  return fold(w[0] ^ 0x9e3779b97f4a7c15, w[1] ^ 0xd6e8feb86659fd93) ^
         fold(w[2] ^ 0xa0761d6478bd642f, w[3] ^ 0xe7037ed1a0b428db) ^ (w[4] * 0x8ebc6af09c88c6e3);
}

uint16_t tag_of(uint64_t hashed) { return static_cast<uint16_t>(hashed >> 48); }

// The entry that the bucket has under this tag; 0: none.
uint32_t probe(const Bucket& bucket, uint16_t tag) {
#if defined(__SSE2__)
  const __m128i tags = _mm_load_si128(reinterpret_cast<const __m128i*>(bucket.tags));
  const __m128i same = _mm_cmpeq_epi16(tags, _mm_set1_epi16(static_cast<short>(tag)));
  const auto found = static_cast<unsigned>(_mm_movemask_epi8(same));
  return found == 0 ? 0 : bucket.entries[std::countr_zero(found) / 2];
#else
  for (uint32_t slot = 0; slot < tags_per_bucket; slot++)
    if (bucket.tags[slot] == tag) return bucket.entries[slot];
  return 0;
#endif
}

class Floor {
 public:
  Floor(const std::vector<Frame>& frames, uint32_t burst)
      : burst_(burst),
        frames_(frames.size()),
        bucket_mask_(std::bit_ceil(frames.size() / 3 + 16) - 1),
        input_(frames.size() * input_stride),
        buckets_(bucket_mask_ + 1),
        entries_(frames.size() + 1),
        buffers_(size_t{buffer_count} * buffer_bytes) {
    memset(outer_, 7, sizeof outer_);
    for (size_t i = 0; i < frames.size(); i++) {
      if (frames[i].size() != frame_bytes) throw std::runtime_error("wants frames of 60 bytes");
      memcpy(&input_[i * input_stride], frames[i].data(), frame_bytes);
      insert(static_cast<uint32_t>(i + 1), parse(frames[i].data(), 1));
    }
  }

  // Encapsulates one burst.
  void breathe() {
    receive();
    for (uint32_t i = 0; i < burst_; i++) {
      bad_ += well_formed(packets_[i], frame_bytes) ? 0 : 1;
      keys_[i] = parse(packets_[i], 1);
      hashes_[i] = hash(keys_[i]);
      __builtin_prefetch(&buckets_[hashes_[i] & bucket_mask_]);
    }
    for (uint32_t i = 0; i < burst_; i++) {
      const Bucket& bucket = buckets_[hashes_[i] & bucket_mask_];
      found_[i] = &entries_[probe(bucket, tag_of(hashes_[i]))];
      __builtin_prefetch(found_[i], 1);
    }
    for (uint32_t i = 0; i < burst_; i++) encapsulate(i);
  }

  uint64_t bad() const { return bad_; }

 private:
  static constexpr size_t input_stride = 64;
  static constexpr size_t ahead = 8;  // packets of the input that are fetched ahead

  // In its bucket, or where that is full in the next.
  void insert(uint32_t number, const Key& key) {
    const uint64_t hashed = hash(key);
    for (size_t step = 0; step < 2; step++) {
      Bucket& bucket = buckets_[(hashed + step) & bucket_mask_];
      uint32_t* const end = bucket.entries + tags_per_bucket;
      uint32_t* const free = std::find(bucket.entries, end, 0u);
      if (free == end) continue;
      *free = number;
      bucket.tags[free - bucket.entries] = tag_of(hashed);
      entries_[number].key = key;
      return;
    }
    throw std::runtime_error("two buckets are full");
  }

  // For the few whose tag another key of their bucket has, or that are in the next bucket.
  Entry* search(uint32_t i) {
    for (size_t step = 0; step < 2; step++) {
      for (const uint32_t number : buckets_[(hashes_[i] + step) & bucket_mask_].entries)
        if (number != 0 && memcmp(&entries_[number].key, &keys_[i], sizeof(Key)) == 0)
          return &entries_[number];
    }
    return nullptr;
  }

  void receive() {
    for (uint32_t i = 0; i < burst_; i++) {
      const size_t buffer = next_buffer_++ % buffer_count;
      packets_[i] = &buffers_[buffer * buffer_bytes + headroom];
      memcpy(packets_[i], &input_[next_ * input_stride], frame_bytes);
      const size_t later = next_ + ahead;
      __builtin_prefetch(&input_[(later < frames_ ? later : 0) * input_stride]);
      if (++next_ == frames_) next_ = 0;
    }
  }

  void encapsulate(uint32_t i) {
    Entry* entry = found_[i];
    if (memcmp(&entry->key, &keys_[i], sizeof(Key)) != 0) entry = search(i);
    if (entry == nullptr) {
      bad_++;
      return;
    }
    entry->packets++;
    entry->bytes += frame_bytes;
    uint8_t* outer = packets_[i] - outer_bytes;
    memcpy(outer, outer_, outer_bytes);
    constexpr uint32_t length = frame_bytes + outer_bytes - 14;
    const uint32_t checksum = 0x1234 + length;
    store_be16(outer + 16, be16(length));
    store_be16(outer + 24, be16(static_cast<uint16_t>(~((checksum & 0xffff) + (checksum >> 16)))));
    store_be16(outer + 34, be16(static_cast<uint16_t>(49152 | (hashes_[i] >> 32 & 16383))));
    store_be16(outer + 38, be16(length - 20));
  }

  const uint32_t burst_;
  const size_t frames_;
  const size_t bucket_mask_;
  Pages<uint8_t> input_;
  Pages<Bucket> buckets_;
  Pages<Entry> entries_;  // number 0: found by nobody
  Pages<uint8_t> buffers_;
  uint8_t outer_[64];
  Key keys_[batch_max];
  uint64_t hashes_[batch_max];
  uint8_t* packets_[batch_max];
  Entry* found_[batch_max];
  size_t next_ = 0;
  size_t next_buffer_ = 0;
  uint64_t bad_ = 0;  // malformed or not found
};

struct Wanted {
  uint32_t flows = 1;
  uint32_t burst = batch_max;
  uint32_t rounds = 1;
  double seconds = 1;
  InputOrder order = InputOrder::Sequential;
  std::string pcap;
};

Wanted wanted_of(Options options) {
  Wanted wanted;
  wanted.flows = options.number("--flows", 1, 4u << 20);
  wanted.burst = options.number("--burst", batch_max, batch_max);
  wanted.rounds = options.number("--rounds", 5, 1000);
  wanted.seconds = options.seconds(1);
  if (options.choice("--order", {"sequential", "random"}) == 1) wanted.order = InputOrder::Random;
  wanted.pcap = options.text("--pcap", "");
  options.finish();
  return wanted;
}

// Median cycles per packet.
double measure(Floor& floor, const Wanted& wanted) {
  const uint32_t breaths = (sample_packets + wanted.burst - 1) / wanted.burst;
  const uint64_t until = now_ns() + static_cast<uint64_t>(wanted.seconds * 1e9);
  std::vector<float> samples;
  do {
    const uint64_t from = cycles_now();
    for (uint32_t breath = 0; breath < breaths; breath++) floor.breathe();
    const uint64_t cycles = cycles_now() - from;
    samples.push_back(static_cast<float>(cycles) / static_cast<float>(breaths * wanted.burst));
  } while (now_ns() < until);
  return quantile(samples, 0.5);
}

void run(const Wanted& wanted) {
  const std::vector<Frame> frames =
      wanted.pcap.empty() ? input_frames({InputKind::Inner, wanted.flows, wanted.order})
                          : read_capture(wanted.pcap);
  pin_thread(0, allowed_cpus());
  Floor floor(frames, wanted.burst);
  for (size_t breath = 0; breath < 2 * frames.size() / wanted.burst + 256; breath++)
    floor.breathe();
  const CycleRate rate;
  for (uint32_t round = 0; round < wanted.rounds; round++) {
    const double cycles = measure(floor, wanted);
    printf(
        "{\"bench\":\"floor\",\"case\":\"encap\",\"flows\":%zu,\"burst\":%u,\"round\":%u,"
        "\"cycles\":%.1f,\"mpps\":%.2f}\n",
        frames.size(), wanted.burst, round, cycles, rate.hertz() / cycles / 1e6);
    fflush(stdout);
  }
  if (floor.bad() != 0)
    throw std::runtime_error(std::to_string(floor.bad()) + " packets were not found");
}

}  // namespace

int main(int argc, char** argv) {
  try {
    run(wanted_of(Options(argc, argv)));
    return 0;
  } catch (const std::exception& error) {
    fprintf(stderr, "floor_bench: %s\n", error.what());
    return 1;
  }
}
