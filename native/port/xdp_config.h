// port/xdp_config.h — what the XDP program is told, shared between it and its loader.
//
// Why:    the program must decide without us which packets are ours; it reads this from an array
//         map.
// Limits: plain C: clang compiles it for the kernel, g++ for us.
#pragma once

#define XDP_ENDPOINT_MAX 8

struct xdp_redirect_config {
  unsigned int uplink;          // 0: every packet is ours; 1: tunnel packets only
  unsigned short vxlan_port;    // network byte order; 0: none
  unsigned short geneve_port;   // network byte order; 0: none
  unsigned int endpoint_count;  // 0: any address of the host
  unsigned int endpoints[XDP_ENDPOINT_MAX][4]; // network byte order; IPv4 as ::ffff:a.b.c.d
};
