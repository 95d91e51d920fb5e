// port/uplink_filter.cpp — the filter as classic BPF; offsets count from the Ethernet header.
#include "port/uplink_filter.h"

#include <linux/filter.h>
#include <linux/if_ether.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <cerrno>

#include "port/device.h"

namespace vtep {
namespace {

// The kernel takes an 802.1Q tag out before the filter runs, so the type is at 12 in any case.
constexpr sock_filter ld_half(uint32_t at) { return {BPF_LD | BPF_H | BPF_ABS, 0, 0, at}; }
constexpr sock_filter ld_byte(uint32_t at) { return {BPF_LD | BPF_B | BPF_ABS, 0, 0, at}; }
constexpr sock_filter jump_if(uint32_t equal, uint8_t yes, uint8_t no) {
  return {BPF_JMP | BPF_JEQ | BPF_K, yes, no, equal};
}

}  // namespace

void attach_uplink_filter(int socket, const PortConfig& config, const std::string& doing) {
  // 0 never matches as a port of ours: a switched-off encapsulation repeats the other's port.
  const uint32_t vxlan = config.vxlan_port != 0 ? config.vxlan_port : config.geneve_port;
  const uint32_t geneve = config.geneve_port != 0 ? config.geneve_port : config.vxlan_port;
  sock_filter code[] = {
      /*  0 */ ld_half(12),
      /*  1 */ jump_if(ETH_P_IP, 0, 6),
      /*  2 */ ld_byte(23),
      /*  3 */ jump_if(IPPROTO_UDP, 0, 12),
      /*  4 */ ld_half(20),
      /*  5 */ {BPF_JMP | BPF_JSET | BPF_K, 10, 0, 0x1fff},  // a later fragment
      /*  6 */ {BPF_LDX | BPF_B | BPF_MSH, 0, 0, ETH_HLEN},  // X = IPv4 header bytes
      /*  7 */ {BPF_JMP | BPF_JA, 0, 0, 4},
      /*  8 */ jump_if(ETH_P_IPV6, 0, 7),
      /*  9 */ ld_byte(20),
      /* 10 */ jump_if(IPPROTO_UDP, 0, 5),
      /* 11 */ {BPF_LDX | BPF_W | BPF_IMM, 0, 0, 40},           // X = IPv6 header bytes
      /* 12 */ {BPF_LD | BPF_H | BPF_IND, 0, 0, ETH_HLEN + 2},  // UDP destination port
      /* 13 */ jump_if(vxlan, 1, 0),
      /* 14 */ jump_if(geneve, 0, 1),
      /* 15 */ {BPF_RET | BPF_K, 0, 0, 0xffffffff},
      /* 16 */ {BPF_RET | BPF_K, 0, 0, 0},
  };
  const sock_fprog filter = {sizeof code / sizeof code[0], code};
  if (::setsockopt(socket, SOL_SOCKET, SO_ATTACH_FILTER, &filter, sizeof filter) != 0)
    throw_errno(doing, "CAP_NET_RAW", errno);
}

}  // namespace vtep
