// port/kernel_abi.h — kernel numbers that are newer than the headers of Debian 12 (Linux 6.1).
//
// Why:    we build on 6.1 headers and use what newer kernels have when they have it; each user of a
//         number probes at run time and lives without.
#pragma once

#include <cstdint>

namespace vtep::kernel {

// virtio_net_hdr in host byte order (virtio 1.2, 5.1.6); linux/virtio_net.h is no C++.
struct VnetHeader {
  uint8_t flags;         // vnet_*
  uint8_t gso_type;      // vnet_gso_*
  uint16_t hdr_len;      // all headers of a superpacket, a hint
  uint16_t gso_size;     // payload bytes per segment
  uint16_t csum_start;   // from the Ethernet header
  uint16_t csum_offset;  // from csum_start
};
static_assert(sizeof(VnetHeader) == 10);  // PACKET_VNET_HDR and TUN's default

constexpr uint8_t vnet_needs_checksum = 1;
constexpr uint8_t vnet_data_valid = 2;
constexpr uint8_t vnet_gso_none = 0;
constexpr uint8_t vnet_gso_tcp_v4 = 1;
constexpr uint8_t vnet_gso_tcp_v6 = 4;
constexpr uint8_t vnet_gso_udp_l4 = 5;  // 6.2
constexpr uint8_t vnet_gso_ecn = 0x80;  // a bit beside the type

constexpr unsigned tun_uso4 = 0x20;                 // 6.2: TUN_F_USO4
constexpr unsigned tun_uso6 = 0x40;                 // 6.2: TUN_F_USO6
constexpr unsigned long tun_device_netns = 0x54e3;  // _IO('T', 227): TUNGETDEVNETNS
constexpr uint32_t tcx_ingress = 46;                // 6.6: BPF_TCX_INGRESS
constexpr uint32_t xdp_has_frags = 1 << 5;          // 5.18: BPF_F_XDP_HAS_FRAGS
constexpr uint16_t xdp_use_sg = 1 << 4;             // 6.6: XDP_USE_SG, packets of several chunks
constexpr uint32_t xdp_packet_continues = 1;        // 6.6: XDP_PKT_CONTD in xdp_desc.options
constexpr int udp_gro = 104;  // UDP_GRO of linux/udp.h, which clashes with netinet/udp.h

}  // namespace vtep::kernel
