// port/xdp_redirect.bpf.c — which packets of a device go to our AF_XDP sockets.
//
// Why:    an access port's packets all do; where no socket listens they are dropped, since the
//         host's stack must not act on them. An uplink gives us UDP to our tunnel ports and
//         addresses; the host keeps the rest.
// Limits: make_bytecode.sh turns this file into xdp_redirect_bytecode.h, which is committed, so
//         that building needs no clang.
#include "xdp_config.h"

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;

struct xdp_md {
  u32 data;
  u32 data_end;
  u32 data_meta;
  u32 ingress_ifindex;
  u32 rx_queue_index;
  u32 egress_ifindex;
};

enum { XDP_DROP = 1, XDP_PASS = 2 };
enum { ETHERNET_BYTES = 14, IPV6_BYTES = 40, UDP_BYTES = 8, PROTO_UDP = 17 };

// The loader puts the descriptors of the maps where these are used.
extern u8 sockets; // XSKMAP: device queue -> AF_XDP socket
extern u8 config;  // ARRAY of one xdp_redirect_config

static void *(*map_lookup)(void *map, const void *key) = (void *)1;
static long (*redirect_map)(void *map, u32 key, u64 otherwise) = (void *)51;

#define BE16(value) ((u16)__builtin_bswap16(value))
#define INLINE static inline __attribute__((always_inline))

INLINE int is_endpoint(const struct xdp_redirect_config *rules, u32 a, u32 b, u32 c, u32 d) {
  if (rules->endpoint_count == 0) return 1;
#pragma clang loop unroll(full)
  for (u32 i = 0; i < XDP_ENDPOINT_MAX; ++i) {
    const u32 *own = rules->endpoints[i];
    if (i < rules->endpoint_count && own[0] == a && own[1] == b && own[2] == c && own[3] == d)
      return 1;
  }
  return 0;
}

INLINE u16 half(const u8 *at) { return *(const u16 *)at; }
INLINE u32 word(const u8 *at) { return (u32)half(at) | (u32)half(at + 2) << 16; }

// `udp` points at a UDP header if the packet is long enough.
INLINE int is_tunnel(const struct xdp_redirect_config *rules, const u8 *udp, const u8 *end) {
  if (udp + UDP_BYTES > end) return 0;
  u16 port = half(udp + 2);
  return port != 0 && (port == rules->vxlan_port || port == rules->geneve_port);
}

INLINE int is_ours(const struct xdp_redirect_config *rules, const u8 *packet, const u8 *end) {
  const u8 *ip = packet + ETHERNET_BYTES;
  if (ip + 20 > end) return 0;
  u16 type = half(packet + 12);
  if (type == BE16(0x0800)) {
    u32 header_bytes = (ip[0] & 15) * 4;
    // A fragment behind the first has no ports.
    if (header_bytes < 20 || ip[9] != PROTO_UDP || (half(ip + 6) & BE16(0x1fff)) != 0) return 0;
    return is_tunnel(rules, ip + header_bytes, end) &&
           is_endpoint(rules, 0, 0, __builtin_bswap32(0xffff), word(ip + 16));
  }
  if (type != BE16(0x86dd) || ip + IPV6_BYTES > end || ip[6] != PROTO_UDP) return 0;
  return is_tunnel(rules, ip + IPV6_BYTES, end) &&
         is_endpoint(rules, word(ip + 24), word(ip + 28), word(ip + 32), word(ip + 36));
}

__attribute__((section("xdp"), used)) int vtep_redirect(struct xdp_md *context) {
  u32 zero = 0;
  const struct xdp_redirect_config *rules = map_lookup(&config, &zero);
  if (!rules) return XDP_PASS;
  if (!rules->uplink) return redirect_map(&sockets, context->rx_queue_index, XDP_DROP);
  const u8 *packet = (const u8 *)(u64)context->data;
  const u8 *end = (const u8 *)(u64)context->data_end;
  if (!is_ours(rules, packet, end)) return XDP_PASS;
  return redirect_map(&sockets, context->rx_queue_index, XDP_PASS);
}
