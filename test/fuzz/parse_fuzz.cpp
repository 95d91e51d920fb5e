// test/fuzz/parse_fuzz.cpp — any bytes, as a tenant's frame and as an uplink's: no read past the
// end.
//
// The frame is copied to a heap buffer of exactly its size, so that AddressSanitizer sees one byte
// too many. The first bytes of the input choose the offload state; a byte of it is the port's
// context.
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>

#include "flow/parse.h"
#include "packet/checksum.h"

namespace {

using namespace vtep;  // NOLINT: a fuzzer is a file of its own

// 10.0.0.2 and 2001:db8::2 are ours; the addresses that seeds and the fuzzer's luck produce.
const TunnelEndpoints& endpoints() {
  static const std::unique_ptr<TunnelEndpoints> all = [] {
    auto made = std::make_unique<TunnelEndpoints>();
    const Ipv6Bytes v4{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 10, 0, 0, 2};
    const Ipv6Bytes v6{0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2};
    const TunnelEndpoints::Endpoint ours[] = {{v4, be16(4789), be16(6081)},
                                              {v6, be16(4789), be16(6081)}};
    made->set_endpoints(ours, 2);
    Ipv6Bytes remote = v4;
    remote[15] = 1;
    made->set_tunnel(1, remote);
    remote = v6;
    remote[15] = 1;
    made->set_tunnel(2, remote);
    made->set_network(0, Encap::Vxlan);
    made->set_network(1, Encap::Geneve);
    made->zero_udp6_checksum_allowed = true;
    return made;
  }();
  return *all;
}

void require(bool holds) {
  if (!holds) abort();
}

// What parse promises of a packet that lives.
void check(const Packet& packet, const FlowKey& key, const PacketInfo& info) {
  if (info.drop != DropReason::None) return;
  require(info.l3 <= packet.length && info.l4 <= packet.length && info.payload <= packet.length);
  require(info.l4 == 0 || info.l4 > info.l3);
  require(info.payload == 0 || info.payload > info.l4);
  require(key.ip_frag != frag_later || (info.l4 == 0 && key.tp_src.raw == 0));
  require(key.zero1 == 0 && key.zero2 == 0 && key.ct_state == 0);
  const uint8_t needs = packet.offload.flags & offload_needs_checksum;
  require(needs == 0 || checksum_place_inside(packet));
}

void run(const uint8_t* bytes, uint32_t length, const Offload& offload, bool uplink, bool verify) {
  const std::unique_ptr<uint8_t[]> copy(new uint8_t[length]);
  memcpy(copy.get(), bytes, length);
  Packet packet;
  packet.data = copy.get();
  packet.length = length;
  packet.offload = offload;
  FlowKey key;
  PacketInfo info;
  parse(&packet, 1, RxContext{1, uplink, verify, uplink ? &endpoints() : nullptr}, &key, &info);
  require(packet.data >= copy.get() && packet.data + packet.length <= copy.get() + length);
  if (uplink && info.outer_bytes == 0) return;
  check(packet, key, info);
  if (info.drop != DropReason::None) return;
  looks_partial(packet, info.l3, info.l4);
  require(finish_checksum(packet));
  mark_if_partial(packet);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 10 || size > 70000) return 0;
  Offload offload;
  memcpy(static_cast<void*>(&offload), data, sizeof offload);
  const uint8_t context = data[8];
  if (context & 4) offload = Offload{};
  run(data + 10, static_cast<uint32_t>(size - 10), offload, context & 1, context & 2);
  return 0;
}
