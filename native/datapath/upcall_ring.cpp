// datapath/upcall_ring.cpp — see upcall_ring.h.

#include "datapath/upcall_ring.h"

#include <algorithm>
#include <bit>

namespace vtep {

namespace {

constexpr uint32_t record_align = 64;
// A wake that was lost to a crash of the slow path is repeated after this long.
constexpr uint64_t ring_again_ns = 1000000;

constexpr uint32_t record_size(uint32_t packet_bytes) noexcept {
  return (static_cast<uint32_t>(sizeof(UpcallRecord)) + packet_bytes + record_align - 1) &
         ~(record_align - 1);
}

UpcallRecord describe(const UpcallPacket& upcall, uint32_t bytes, RecordKind kind) noexcept {
  UpcallRecord record{};
  record.record_bytes = bytes;
  record.kind = static_cast<uint32_t>(kind);
  record.reason = upcall.reason;
  record.packet_bytes = upcall.packet.length;
  record.rx_ns = upcall.now_ns;
  record.in_port = upcall.key.in_port;
  record.outer_bytes = upcall.info.outer_bytes;
  memcpy(record.offload, &upcall.packet.offload, sizeof record.offload);
  record.l3 = upcall.info.l3;
  record.l4 = upcall.info.l4;
  record.payload = upcall.info.payload;
  record.tcp_flags = upcall.info.tcp_flags;
  record.ip_tos = upcall.info.ip_tos;
  record.ip_ttl = upcall.info.ip_ttl;
  record.outer_tos = upcall.info.outer_tos;
  record.key = upcall.key;
  return record;
}

}  // namespace

UpcallRing::UpcallRing(const RingView& ring, const HashSecret& secret)
    : ring_(ring),
      outstanding_mask_(std::bit_ceil(ring.capacity / record_size(0)) - 1),
      outstanding_(outstanding_mask_ + 1, "outstanding upcalls"),
      pending_(pending_keys_max, "pending keys"),
      buckets_(bucket_count, "pending keys"),
      shares_(secret),
      secret_(secret) {}

UpcallResult UpcallRing::fill(const UpcallPacket& upcall, DropReason& why) noexcept {
  const uint32_t bytes = record_size(upcall.packet.length);
  if (bytes > ring_.capacity / 4) {
    why = DropReason::UpcallTooLong;
    return UpcallResult::Refused;
  }
  const auto bucket = static_cast<uint16_t>((hash_whole_key(upcall.key, secret_) ^ upcall.reason) &
                                            (bucket_count - 1));
  PendingKey* pending = find_pending(bucket, upcall);
  if (pending != nullptr && upcall.reason != 0) return UpcallResult::AlreadyAsked;
  const UpcallCost cost{bytes, pending == nullptr ? 1u : 0u};
  const UpcallCost free{ring_.capacity - used(), pending_keys_max - pending_count_};
  if (free.keys < cost.keys ||
      (pending != nullptr && pending->followers == followers_per_key_max)) {
    why = DropReason::UpcallPending;
    return UpcallResult::Refused;
  }
  const uint16_t asker = shares_.asker_of(upcall.key);
  if (!shares_.admit(asker, cost, free, upcall.now_ns)) {
    why = DropReason::UpcallPortLimit;
    return UpcallResult::Refused;
  }
  uint8_t* place = reserve(bytes);
  if (place == nullptr) {
    why = DropReason::UpcallRingFull;
    return UpcallResult::Refused;
  }
  const RecordKind kind = pending == nullptr ? RecordKind::Upcall : RecordKind::Follower;
  const UpcallRecord record = describe(upcall, bytes, kind);
  memcpy(place, &record, sizeof record);
  memcpy(place + sizeof record, upcall.packet.data, upcall.packet.length);
  if (pending != nullptr) pending->followers++;
  remember(upcall, asker, cost, pending == nullptr ? add_pending(bucket, upcall) : uint16_t{0});
  return pending == nullptr ? UpcallResult::Asked : UpcallResult::Follows;
}

bool UpcallRing::publish(uint64_t now_ns) noexcept {
  if (produced_ == published_) return false;
  const uint32_t before = published_;
  published_ = produced_;
  ring_.header->produced.value.store(produced_, std::memory_order_release);
  // The slow path stores `answered` and then looks at `produced` once more; we do the reverse. The
  // fences see to it that one of us notices the other.
  std::atomic_thread_fence(std::memory_order_seq_cst);
  const bool caught_up = ring_.header->answered.value.load(std::memory_order_relaxed) == before;
  if (!caught_up && now_ns - rung_ns_ < ring_again_ns) return false;
  rung_ns_ = now_ns;
  return true;
}

const Outstanding* UpcallRing::answered(const UpcallRecord*& record) noexcept {
  if (!has_answers()) return nullptr;
  const Outstanding& oldest = outstanding_[first_ & outstanding_mask_];
  record = reinterpret_cast<const UpcallRecord*>(ring_.at(oldest.start));
  return &oldest;
}

void UpcallRing::take_back() noexcept {
  const Outstanding& oldest = outstanding_[first_ & outstanding_mask_];
  if (oldest.pending != 0) forget_pending(oldest.pending);
  shares_.give_back(oldest.asker, {oldest.record_bytes, oldest.pending != 0 ? 1u : 0u});
  consumed_ = oldest.start + oldest.record_bytes;
  first_++;
  count_--;
}

void UpcallRing::release() noexcept {
  ring_.header->consumed.value.store(consumed_, std::memory_order_release);
}

bool UpcallRing::has_answers() const noexcept {
  if (count_ == 0) return false;
  const uint32_t answered = ring_.header->answered.value.load(std::memory_order_acquire);
  if (answered - consumed_ > published_ - consumed_) return false;  // a cursor out of its mind
  const Outstanding& oldest = outstanding_[first_ & outstanding_mask_];
  return answered - consumed_ >= oldest.start + oldest.record_bytes - consumed_;
}

void UpcallRing::set_sleeping(bool sleeping) noexcept {
  ring_.header->sleeping.value.store(sleeping ? 1 : 0, std::memory_order_relaxed);
}

UpcallRing::PendingKey* UpcallRing::find_pending(uint16_t bucket,
                                                 const UpcallPacket& upcall) noexcept {
  for (uint16_t number = buckets_[bucket]; number != 0; number = pending_[number - 1u].next) {
    PendingKey& pending = pending_[number - 1u];
    if (pending.reason == upcall.reason && pending.key == upcall.key) return &pending;
  }
  return nullptr;
}

uint16_t UpcallRing::add_pending(uint16_t bucket, const UpcallPacket& upcall) noexcept {
  uint16_t number = free_pending_;
  if (number != 0)
    free_pending_ = pending_[number - 1u].next;
  else
    number = ++pending_used_;
  pending_count_++;
  pending_[number - 1u] = {upcall.key, upcall.reason, 0, buckets_[bucket], bucket};
  buckets_[bucket] = number;
  return number;
}

void UpcallRing::forget_pending(uint16_t number) noexcept {
  PendingKey& pending = pending_[number - 1u];
  uint16_t* link = &buckets_[pending.bucket];
  while (*link != number) link = &pending_[*link - 1u].next;
  *link = pending.next;
  pending.next = free_pending_;
  free_pending_ = number;
  pending_count_--;
}

// Room for a record in one piece; what is left before the ring's end becomes a pad record.
uint8_t* UpcallRing::reserve(uint32_t bytes) noexcept {
  const uint32_t to_end = ring_.capacity - (produced_ & (ring_.capacity - 1));
  const uint32_t pad = to_end < bytes ? to_end : 0;
  if (ring_.capacity - used() < pad + bytes) return nullptr;
  if (pad != 0) {
    const uint32_t words[2] = {pad, static_cast<uint32_t>(RecordKind::Pad)};
    memcpy(ring_.at(produced_), words, sizeof words);
    produced_ += pad;
  }
  uint8_t* place = ring_.at(produced_);
  produced_ += bytes;
  return place;
}

void UpcallRing::remember(const UpcallPacket& upcall, uint16_t asker, UpcallCost cost,
                          uint16_t pending) noexcept {
  Outstanding& record = outstanding_[(first_ + count_++) & outstanding_mask_];
  record = {};
  record.start = produced_ - cost.bytes;
  record.record_bytes = cost.bytes;
  record.asker = asker;
  record.packet_bytes = upcall.packet.length;
  record.in_port = upcall.key.in_port;
  record.tunnel_id = upcall.key.tunnel_id;
  record.tunnel_port = upcall.key.tunnel_port;
  record.tunnel_src = upcall.key.tunnel_src;
  record.pending = pending;
  record.outer_bytes = upcall.info.outer_bytes;
  record.offload = upcall.packet.offload;
  record.ct_state = upcall.key.ct_state;
  record.outer_tos = upcall.info.outer_tos;
  record.copy = upcall.reason != 0 ? 1 : 0;
  record.tries = upcall.tries;
  shares_.take(asker, cost);
}

}  // namespace vtep
