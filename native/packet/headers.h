// packet/headers.h — where the fields of wire headers are, and the numbers that stand in them.
//
// Why:    headers are read at any alignment with load_be*, so what is needed is offsets, not
//         structs. An offset counts from the first byte of its own header.
// Source: named at each group.
#pragma once

#include <cstdint>

#include "base/be.h"

namespace vtep {

// Ethernet II and 802.1Q (IEEE 802.3, 802.1Q).
constexpr uint32_t eth_dst_offset = 0;
constexpr uint32_t eth_src_offset = 6;
constexpr uint32_t eth_type_offset = 12;
constexpr uint32_t eth_header_bytes = 14;
constexpr uint32_t vlan_tag_bytes = 4;     // TPID and TCI
constexpr uint16_t eth_type_min = 0x0600;  // below: an 802.3 length

constexpr uint16_t eth_type_ipv4 = 0x0800;
constexpr uint16_t eth_type_arp = 0x0806;
constexpr uint16_t eth_type_teb = 0x6558;  // transparent Ethernet bridging: Geneve's payload
constexpr uint16_t eth_type_vlan = 0x8100;
constexpr uint16_t eth_type_ipv6 = 0x86dd;
constexpr uint16_t eth_type_qinq = 0x88a8;

// ARP for Ethernet and IPv4 (RFC 826).
constexpr uint32_t arp_hardware_offset = 0;  // 16 bits, 1: Ethernet
constexpr uint32_t arp_protocol_offset = 2;  // 16 bits, 0x0800
constexpr uint32_t arp_hlen_offset = 4;      // 6
constexpr uint32_t arp_plen_offset = 5;      // 4
constexpr uint32_t arp_opcode_offset = 6;    // 16 bits
constexpr uint32_t arp_sha_offset = 8;
constexpr uint32_t arp_spa_offset = 14;
constexpr uint32_t arp_tha_offset = 18;
constexpr uint32_t arp_tpa_offset = 24;
constexpr uint32_t arp_bytes = 28;
constexpr uint16_t arp_request = 1;
constexpr uint16_t arp_reply = 2;

// IPv4 (RFC 791; DSCP and ECN: RFC 2474, RFC 3168).
constexpr uint32_t ipv4_version_ihl_offset = 0;
constexpr uint32_t ipv4_tos_offset = 1;
constexpr uint32_t ipv4_total_length_offset = 2;
constexpr uint32_t ipv4_id_offset = 4;
constexpr uint32_t ipv4_frag_offset = 6;  // flags and fragment offset
constexpr uint32_t ipv4_ttl_offset = 8;
constexpr uint32_t ipv4_proto_offset = 9;
constexpr uint32_t ipv4_checksum_offset = 10;
constexpr uint32_t ipv4_src_offset = 12;
constexpr uint32_t ipv4_dst_offset = 16;
constexpr uint32_t ipv4_header_bytes = 20;  // without options
constexpr uint16_t ipv4_dont_fragment = 0x4000;
constexpr uint16_t ipv4_more_fragments = 0x2000;
constexpr uint16_t ipv4_frag_offset_mask = 0x1fff;

// IPv6 (RFC 8200; AH: RFC 4302).
constexpr uint32_t ipv6_payload_length_offset = 4;
constexpr uint32_t ipv6_next_header_offset = 6;
constexpr uint32_t ipv6_hop_limit_offset = 7;
constexpr uint32_t ipv6_src_offset = 8;
constexpr uint32_t ipv6_dst_offset = 24;
constexpr uint32_t ipv6_header_bytes = 40;
constexpr uint32_t ipv6_fragment_header_bytes = 8;
constexpr uint16_t ipv6_frag_offset_mask = 0xfff8;
constexpr uint16_t ipv6_more_fragments = 0x0001;

// IP protocol numbers (IANA).
constexpr uint8_t ip_proto_hop_by_hop = 0;
constexpr uint8_t ip_proto_icmp = 1;
constexpr uint8_t ip_proto_tcp = 6;
constexpr uint8_t ip_proto_udp = 17;
constexpr uint8_t ip_proto_routing = 43;
constexpr uint8_t ip_proto_fragment = 44;
constexpr uint8_t ip_proto_ah = 51;
constexpr uint8_t ip_proto_icmpv6 = 58;
constexpr uint8_t ip_proto_none = 59;  // IPv6: nothing follows
constexpr uint8_t ip_proto_dest_opts = 60;
constexpr uint8_t ip_proto_sctp = 132;

// ECN codepoints: the low two bits of TOS and traffic class (RFC 3168).
constexpr uint8_t ecn_mask = 3;
constexpr uint8_t ecn_not_ect = 0;
constexpr uint8_t ecn_ect1 = 1;
constexpr uint8_t ecn_ect0 = 2;
constexpr uint8_t ecn_ce = 3;

// TCP (RFC 9293).
constexpr uint32_t tcp_seq_offset = 4;
constexpr uint32_t tcp_ack_offset = 8;
constexpr uint32_t tcp_data_offset = 12;  // high four bits: header length in words
constexpr uint32_t tcp_flags_offset = 13;
constexpr uint32_t tcp_window_offset = 14;
constexpr uint32_t tcp_checksum_offset = 16;
constexpr uint32_t tcp_header_bytes = 20;  // without options
constexpr uint8_t tcp_fin = 0x01;
constexpr uint8_t tcp_syn = 0x02;
constexpr uint8_t tcp_rst = 0x04;
constexpr uint8_t tcp_psh = 0x08;
constexpr uint8_t tcp_ack = 0x10;
constexpr uint8_t tcp_urg = 0x20;
constexpr uint8_t tcp_ece = 0x40;
constexpr uint8_t tcp_cwr = 0x80;

// UDP (RFC 768).
constexpr uint32_t udp_src_offset = 0;
constexpr uint32_t udp_dst_offset = 2;
constexpr uint32_t udp_length_offset = 4;
constexpr uint32_t udp_checksum_offset = 6;
constexpr uint32_t udp_header_bytes = 8;

// SCTP (RFC 9260).
constexpr uint32_t sctp_header_bytes = 12;

// ICMP (RFC 792) and ICMPv6 (RFC 4443): both begin with type, code, checksum.
constexpr uint32_t icmp_type_offset = 0;
constexpr uint32_t icmp_code_offset = 1;
constexpr uint32_t icmp_checksum_offset = 2;
constexpr uint32_t icmp_id_offset = 4;  // of echo messages
constexpr uint32_t icmp_header_bytes = 8;
constexpr uint32_t icmpv6_header_bytes = 4;
constexpr uint8_t icmp_echo_reply = 0;
constexpr uint8_t icmp_unreachable = 3;
constexpr uint8_t icmp_source_quench = 4;
constexpr uint8_t icmp_redirect = 5;
constexpr uint8_t icmp_echo_request = 8;
constexpr uint8_t icmp_time_exceeded = 11;
constexpr uint8_t icmp_parameter_problem = 12;
constexpr uint8_t icmpv6_unreachable = 1;
constexpr uint8_t icmpv6_packet_too_big = 2;
constexpr uint8_t icmpv6_time_exceeded = 3;
constexpr uint8_t icmpv6_parameter_problem = 4;
constexpr uint8_t icmpv6_echo_request = 128;
constexpr uint8_t icmpv6_echo_reply = 129;

// Neighbour discovery (RFC 4861).
constexpr uint8_t nd_router_solicit = 133;
constexpr uint8_t nd_router_advert = 134;
constexpr uint8_t nd_neighbour_solicit = 135;
constexpr uint8_t nd_neighbour_advert = 136;
constexpr uint8_t nd_redirect = 137;
constexpr uint32_t nd_flags_offset = 4;  // of an advertisement: R S O in the top bits
constexpr uint32_t nd_target_offset = 8;
constexpr uint32_t nd_options_offset = 24;  // of solicitation and advertisement
constexpr uint8_t nd_option_sll = 1;        // source link-layer address
constexpr uint8_t nd_option_tll = 2;        // target link-layer address
constexpr uint8_t nd_option_prefix = 3;
constexpr uint8_t nd_option_mtu = 5;
constexpr uint32_t ra_hop_limit_offset = 4;
constexpr uint32_t ra_lifetime_offset = 6;
constexpr uint32_t ra_options_offset = 16;
constexpr uint32_t rs_options_offset = 8;
constexpr uint8_t nd_hop_limit = 255;       // anything less came through a router

// VXLAN (RFC 7348): flags, reserved, VNI, reserved.
constexpr uint32_t vxlan_flags_offset = 0;
constexpr uint32_t vxlan_vni_offset = 4;  // high 24 bits of a 32-bit word
constexpr uint32_t vxlan_header_bytes = 8;
constexpr uint8_t vxlan_flag_vni = 0x08;  // I: the VNI is valid; must be set

// Geneve (RFC 8926).
constexpr uint32_t geneve_version_optlen_offset = 0;  // version in 2 bits, option words in 6
constexpr uint32_t geneve_flags_offset = 1;
constexpr uint32_t geneve_protocol_offset = 2;
constexpr uint32_t geneve_vni_offset = 4;           // high 24 bits of a 32-bit word
constexpr uint32_t geneve_header_bytes = 8;         // without options
constexpr uint8_t geneve_flag_control = 0x80;       // O
constexpr uint8_t geneve_flag_critical = 0x40;      // C: some option is critical
constexpr uint32_t geneve_option_header_bytes = 4;  // class 16, type 8, reserved 3, words 5
constexpr uint8_t geneve_option_critical = 0x80;    // top bit of the type

}  // namespace vtep
