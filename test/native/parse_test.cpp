// test/native/parse_test.cpp — packets of tenants: keys, facts, and every reason to drop one.
//
// Each packet is in a buffer of exactly its size, so that the sanitizer build sees any over-read.
#include "flow/parse.h"

#include <gtest/gtest.h>

#include "packet_bytes.h"

namespace vtep {
namespace {

using namespace bytes;  // NOLINT: the test speaks in packets

struct Parsed {
  FlowKey key;
  PacketInfo info;
  Packet packet;
};

Parsed parse_plain(Bytes& frame, Offload offload = {}) {
  Parsed parsed;
  parsed.packet = packet_of(frame);
  parsed.packet.offload = offload;
  const RxContext context{3, false, true, nullptr};
  parse(&parsed.packet, 1, context, &parsed.key, &parsed.info);
  return parsed;
}

TEST(Parse, a_TCP_packet_fills_the_key_and_nothing_else) {
  Bytes frame =
      eth(0x0800, ipv4({.proto = 6, .tos = 0xb9, .ttl = 61}, tcp(1000, 80, 0x12, {1, 2})));
  const Parsed parsed = parse_plain(frame);
  FlowKey expected = {};
  expected.in_port = 3;
  expected.eth_type = be16(0x0800);
  std::copy(mac_b.begin(), mac_b.end(), expected.eth_dst.begin());
  std::copy(mac_a.begin(), mac_a.end(), expected.eth_src.begin());
  expected.ip_proto = 6;
  expected.ip_src = be32(ip_a);
  expected.ip_dst = be32(ip_b);
  expected.tp_src = be16(1000);
  expected.tp_dst = be16(80);
  EXPECT_EQ(parsed.info.drop, DropReason::None);
  EXPECT_TRUE(parsed.key == expected);
  EXPECT_EQ(parsed.info.l3, 14);
  EXPECT_EQ(parsed.info.l4, 34);
  EXPECT_EQ(parsed.info.payload, 54);
  EXPECT_EQ(parsed.info.tcp_flags, 0x12);
  EXPECT_EQ(parsed.info.ip_tos, 0xb9);
  EXPECT_EQ(parsed.info.ip_ttl, 61);
  EXPECT_EQ(parsed.info.outer_bytes, 0u);
}

TEST(Parse, old_contents_of_key_and_info_do_not_shine_through) {
  Bytes frame = eth(0x1234, {1, 2, 3});
  Parsed parsed;
  memset(static_cast<void*>(&parsed.key), 0xff, sizeof parsed.key);
  parsed.info.drop = DropReason::BadVxlan;
  parsed.info.l4 = 99;
  parsed.packet = packet_of(frame);
  const RxContext context{1, false, true, nullptr};
  parse(&parsed.packet, 1, context, &parsed.key, &parsed.info);
  EXPECT_EQ(parsed.info.drop, DropReason::None);
  EXPECT_EQ(parsed.info.l4, 0);
  EXPECT_EQ(parsed.key.ip_src.raw, 0u);
  EXPECT_EQ(parsed.key.zero2, 0u);
  EXPECT_EQ(parsed.key.eth_type.host(), 0x1234);
}

TEST(Parse, one_and_two_VLAN_tags_are_key_fields_without_their_priority) {
  Bytes one = eth(0x8100, vlan(0xe005, 0x0800, ipv4({}, udp(1, 2, {}))));
  Parsed parsed = parse_plain(one);
  EXPECT_EQ(parsed.key.vlan_tci.host(), 0x1005);
  EXPECT_EQ(parsed.key.vlan_tci2.host(), 0);
  EXPECT_EQ(parsed.key.eth_type.host(), 0x0800);
  EXPECT_EQ(parsed.info.l3, 18);
  Bytes two = eth(0x88a8, vlan(7, 0x8100, vlan(0, 0x86dd, ipv6({}, udp(1, 2, {})))));
  parsed = parse_plain(two);
  EXPECT_EQ(parsed.key.vlan_tci.host(), 0x1007);
  EXPECT_EQ(parsed.key.vlan_tci2.host(), 0x1000);
  EXPECT_EQ(parsed.info.l4, 22 + 40);
}

TEST(Parse, an_802_3_length_is_no_EtherType) {
  Bytes frame = eth(0x0026, Bytes(40, 0x42));
  EXPECT_EQ(parse_plain(frame).key.eth_type.host(), eth_type_none);
}

TEST(Parse, ARP_fields_go_into_the_key) {
  Bytes frame = eth(0x0806, arp(1) + Bytes(18, 0));
  const Parsed parsed = parse_plain(frame);
  EXPECT_EQ(parsed.info.drop, DropReason::None);
  EXPECT_EQ(parsed.key.ip_proto, 1);
  EXPECT_EQ(parsed.key.ip_src.host(), ip_a);
  EXPECT_EQ(parsed.key.ip_dst.host(), ip_b);
  EXPECT_EQ(parsed.key.arp_sha[5], 0x0a);
  EXPECT_EQ(parsed.key.arp_tha[5], 0);
  EXPECT_EQ(parsed.info.l3, 14);
  EXPECT_EQ(parsed.info.l4, 0);
}

TEST(Parse, IPv4_options_move_the_L4_header) {
  Bytes frame = eth(0x0800, ipv4({.options = Bytes(8, 1)}, udp(5, 6, {7})));
  const Parsed parsed = parse_plain(frame);
  EXPECT_EQ(parsed.info.drop, DropReason::None);
  EXPECT_EQ(parsed.info.l4, 14 + 28);
  EXPECT_EQ(parsed.key.tp_dst.host(), 6);
}

TEST(Parse, Ethernet_padding_is_kept_and_not_taken_for_L4) {
  Bytes frame = eth(0x0800, ipv4({}, udp(5, 6, {7}))) + Bytes(20, 0);
  const Parsed parsed = parse_plain(frame);
  EXPECT_EQ(parsed.info.drop, DropReason::None);
  EXPECT_EQ(parsed.packet.length, frame.size());
}

TEST(Parse, a_first_fragment_has_ports_and_later_ones_have_none) {
  Bytes first = eth(0x0800, ipv4({.frag = 0x2000}, udp(5, 6, Bytes(16, 0), 1000)));
  Parsed parsed = parse_plain(first);
  EXPECT_EQ(parsed.info.drop, DropReason::None);
  EXPECT_EQ(parsed.key.ip_frag, frag_first);
  EXPECT_EQ(parsed.key.tp_src.host(), 5);
  Bytes later = eth(0x0800, ipv4({.frag = 0x0003}, {1}));
  parsed = parse_plain(later);
  EXPECT_EQ(parsed.info.drop, DropReason::None);
  EXPECT_EQ(parsed.key.ip_frag, frag_later);
  EXPECT_EQ(parsed.key.tp_src.raw, 0);
  EXPECT_EQ(parsed.info.l4, 0);
  Bytes whole = eth(0x0800, ipv4({.frag = 0x4000}, udp(5, 6, {})));
  EXPECT_EQ(parse_plain(whole).key.ip_frag, frag_none);
}

TEST(Parse, SCTP_and_ICMP_fields) {
  Bytes one = eth(0x0800, ipv4({.proto = 132}, sctp(77, 88)));
  EXPECT_EQ(parse_plain(one).key.tp_src.host(), 77);
  Bytes two = eth(0x0800, ipv4({.proto = 1}, icmp(3, 4, 0)));
  const Parsed parsed = parse_plain(two);
  EXPECT_EQ(parsed.key.tp_src.host(), 3);
  EXPECT_EQ(parsed.key.tp_dst.host(), 4);
  Bytes gre = eth(0x0800, ipv4({.proto = 47}, {1, 2}));
  EXPECT_EQ(parse_plain(gre).info.drop, DropReason::None);
}

TEST(Parse, IPv6_addresses_traffic_class_and_extension_headers) {
  const Bytes chain = extension(43, 0) + extension(60, 1) + extension(6, 0);
  Bytes frame = eth(
      0x86dd, ipv6({.next = 0, .traffic_class = 0x2e, .hop_limit = 9}, chain + tcp(1, 2, 0x02)));
  const Parsed parsed = parse_plain(frame);
  EXPECT_EQ(parsed.info.drop, DropReason::None);
  EXPECT_EQ(parsed.key.ipv6_src, address6(ip6(1)));
  EXPECT_EQ(parsed.key.ipv6_dst, address6(ip6(2)));
  EXPECT_EQ(parsed.key.ip_proto, 6);
  EXPECT_EQ(parsed.info.l4, 14 + 40 + 32);
  EXPECT_EQ(parsed.info.ip_tos, 0x2e);
  EXPECT_EQ(parsed.info.ip_ttl, 9);
  EXPECT_EQ(parsed.info.tcp_flags, 0x02);
}

TEST(Parse, an_authentication_header_is_skipped_by_its_own_length_unit) {
  Bytes header = Bytes{17, 4, 0, 0} + Bytes(20, 0);
  Bytes frame = eth(0x86dd, ipv6({.next = 51}, header + udp(3, 4, {})));
  const Parsed parsed = parse_plain(frame);
  EXPECT_EQ(parsed.info.drop, DropReason::None);
  EXPECT_EQ(parsed.key.tp_dst.host(), 4);
}

TEST(Parse, IPv6_fragments_and_atomic_fragments) {
  Bytes first = eth(0x86dd, ipv6({.next = 44}, fragment6(17, 1) + udp(3, 4, {}, 600)));
  Parsed parsed = parse_plain(first);
  EXPECT_EQ(parsed.info.drop, DropReason::None);
  EXPECT_EQ(parsed.key.ip_frag, frag_first);
  EXPECT_EQ(parsed.key.tp_dst.host(), 4);
  Bytes later = eth(0x86dd, ipv6({.next = 44}, fragment6(17, 8 << 3) + Bytes{1}));
  parsed = parse_plain(later);
  EXPECT_EQ(parsed.key.ip_frag, frag_later);
  EXPECT_EQ(parsed.key.ip_proto, 17);
  EXPECT_EQ(parsed.info.l4, 0);
  Bytes atomic = eth(0x86dd, ipv6({.next = 44}, fragment6(17, 0) + udp(3, 4, {})));
  parsed = parse_plain(atomic);
  EXPECT_EQ(parsed.key.ip_frag, frag_none);
  EXPECT_EQ(parsed.info.l4, 14 + 40 + 8);
}

TEST(Parse, neighbour_solicitation_and_advertisement_fill_target_and_MAC) {
  Bytes ask = eth(0x86dd, ipv6({.next = 58, .hop_limit = 255}, nd(135, 1, mac_a)));
  Parsed parsed = parse_plain(ask);
  EXPECT_EQ(parsed.info.drop, DropReason::None);
  EXPECT_EQ(parsed.key.nd_target, address6(ip6(9)));
  EXPECT_EQ(parsed.key.arp_sha[5], 0x0a);
  EXPECT_EQ(parsed.key.tp_src.host(), 135);
  Bytes tell = eth(0x86dd, ipv6({.next = 58, .hop_limit = 255}, nd(136, 2, mac_b)));
  parsed = parse_plain(tell);
  EXPECT_EQ(parsed.key.arp_sha[5], 0x0b);
  // An option of the other kind is not the one that the message speaks for.
  Bytes other = eth(0x86dd, ipv6({.next = 58, .hop_limit = 255}, nd(136, 1, mac_b)));
  EXPECT_EQ(parse_plain(other).key.arp_sha[5], 0);
}

struct BadCase {
  const char* name;
  Bytes frame;
  DropReason reason;
};

Bytes cut(Bytes frame, size_t bytes) {
  frame.resize(frame.size() - bytes);
  return frame;
}

Bytes patched(Bytes frame, size_t at, uint8_t value) {
  frame.at(at) = value;
  return frame;
}

std::vector<BadCase> bad_l2_and_l3() {
  const Bytes udp4 = eth(0x0800, ipv4({}, udp(1, 2, {})));
  const Bytes udp6 = eth(0x86dd, ipv6({}, udp(1, 2, {})));
  Bytes nine;
  for (int i = 0; i < 8; ++i) nine = nine + extension(60, 0);
  nine = nine + extension(17, 0) + udp(1, 2, {});
  return {
      {"no Ethernet header", Bytes(13, 1), DropReason::TooShort},
      {"nothing at all", {}, DropReason::TooShort},
      {"half a tag", eth(0x8100, {0, 1, 8}), DropReason::BadVlan},
      {"three tags", eth(0x8100, vlan(1, 0x8100, vlan(2, 0x8100, vlan(3, 0x0800, Bytes(40, 0))))),
       DropReason::BadVlan},
      {"truncated ARP", eth(0x0806, cut(arp(1), 1)), DropReason::BadArp},
      {"ARP for another hardware", patched(eth(0x0806, arp(1)), 15, 6), DropReason::BadArp},
      {"ARP for another protocol", patched(eth(0x0806, arp(1)), 16, 9), DropReason::BadArp},
      {"ARP with long MACs", patched(eth(0x0806, arp(1)), 18, 8), DropReason::BadArp},
      {"half an IPv4 header", eth(0x0800, Bytes(19, 0x45)), DropReason::BadIpv4},
      {"IPv4 of version 6", patched(udp4, 14, 0x65), DropReason::BadIpv4},
      {"IPv4 with a header of 16 bytes", patched(udp4, 14, 0x44), DropReason::BadIpv4},
      {"IPv4 options behind the end", patched(udp4, 14, 0x4f), DropReason::BadIpv4},
      {"IPv4 longer than the frame", eth(0x0800, ipv4({.length_error = 1}, udp(1, 2, {}))),
       DropReason::BadIpv4},
      {"IPv4 shorter than its header", eth(0x0800, ipv4({.length_error = -9}, udp(1, 2, {}))),
       DropReason::BadIpv4},
      {"IPv4 checksum", eth(0x0800, ipv4({.checksum_error = 0x100}, udp(1, 2, {}))),
       DropReason::BadIpv4Checksum},
      {"half an IPv6 header", eth(0x86dd, Bytes(39, 0x60)), DropReason::BadIpv6},
      {"IPv6 of version 4", patched(udp6, 14, 0x40), DropReason::BadIpv6},
      {"IPv6 longer than the frame", eth(0x86dd, ipv6({.length_error = 1}, udp(1, 2, {}))),
       DropReason::BadIpv6},
      {"truncated extension", eth(0x86dd, ipv6({.next = 60}, extension(17, 2))) /* no L4 */,
       DropReason::BadL4},
      {"extension behind the end",
       patched(eth(0x86dd, ipv6({.next = 60}, extension(17, 0) + udp(1, 2, {}))), 55, 9),
       DropReason::BadIpv6Extension},
      {"half an extension", eth(0x86dd, ipv6({.next = 60}, Bytes(7, 0))),
       DropReason::BadIpv6Extension},
      {"half a fragment header", eth(0x86dd, ipv6({.next = 44}, Bytes(7, 0))),
       DropReason::BadIpv6Extension},
      {"nine extensions", eth(0x86dd, ipv6({.next = 60}, nine)), DropReason::BadIpv6Extension},
      {"hop-by-hop options second",
       eth(0x86dd, ipv6({.next = 60}, extension(0, 0) + extension(17, 0) + udp(1, 2, {}))),
       DropReason::BadIpv6Extension},
  };
}

std::vector<BadCase> bad_l4() {
  const Ip6 link{.next = 58, .hop_limit = 255};
  return {
      {"half a TCP header", eth(0x0800, ipv4({.proto = 6}, cut(tcp(1, 2, 2), 1))),
       DropReason::BadL4},
      {"TCP data offset too small", eth(0x0800, ipv4({.proto = 6}, tcp(1, 2, 2, {}, 4))),
       DropReason::BadL4},
      {"TCP options behind the end", eth(0x0800, ipv4({.proto = 6}, tcp(1, 2, 2, {}, 6))),
       DropReason::BadL4},
      {"TCP only in the padding", eth(0x0800, ipv4({.proto = 6}, {1, 2}) + Bytes(40, 0)),
       DropReason::BadL4},
      {"half a UDP header", eth(0x0800, ipv4({}, Bytes(7, 0))), DropReason::BadL4},
      {"UDP length below its header", eth(0x0800, ipv4({}, udp(1, 2, {}, -1))), DropReason::BadL4},
      {"UDP length behind the end", eth(0x0800, ipv4({}, udp(1, 2, {}, 1))), DropReason::BadL4},
      {"half an SCTP header", eth(0x0800, ipv4({.proto = 132}, Bytes(11, 0))), DropReason::BadL4},
      {"half an ICMP header", eth(0x0800, ipv4({.proto = 1}, Bytes(7, 0))), DropReason::BadL4},
      {"half an ICMPv6 header", eth(0x86dd, ipv6({.next = 58}, Bytes(3, 0))), DropReason::BadL4},
      {"ICMPv6 echo without id", eth(0x86dd, ipv6({.next = 58}, {128, 0, 0, 0, 1})),
       DropReason::BadL4},
      {"tiny first fragment", eth(0x0800, ipv4({.proto = 6, .frag = 0x2000}, Bytes(8, 1))),
       DropReason::BadL4},
      {"ND through a router", eth(0x86dd, ipv6({.next = 58, .hop_limit = 254}, nd(135, 1, mac_a))),
       DropReason::BadL4},
      {"ND with a code", patched(eth(0x86dd, ipv6(link, nd(135, 1, mac_a))), 55, 1),
       DropReason::BadL4},
      {"ND for a group", patched(eth(0x86dd, ipv6(link, nd(135, 1, mac_a))), 62, 0xff),
       DropReason::BadL4},
      {"ND option of no length", patched(eth(0x86dd, ipv6(link, nd(135, 1, mac_a))), 79, 0),
       DropReason::BadL4},
      {"ND option behind the end", patched(eth(0x86dd, ipv6(link, nd(135, 1, mac_a))), 79, 2),
       DropReason::BadL4},
      {"truncated ND", eth(0x86dd, ipv6(link, cut(nd(135, 1, mac_a), 9))), DropReason::BadL4},
      {"fragmented ND",
       eth(0x86dd, ipv6({.next = 44, .hop_limit = 255}, fragment6(58, 1) + nd(135, 1, mac_a))),
       DropReason::BadL4},
  };
}

TEST(Parse, every_flaw_of_a_frame_has_its_drop_reason) {
  for (std::vector<BadCase> cases : {bad_l2_and_l3(), bad_l4()}) {
    for (BadCase& bad : cases) {
      bad.frame.shrink_to_fit();
      EXPECT_EQ(parse_plain(bad.frame).info.drop, bad.reason) << bad.name;
    }
  }
}

TEST(Parse, no_cut_of_a_good_frame_is_read_behind_its_end) {
  const Bytes frames[] = {
      eth(0x0800, ipv4({.proto = 6, .options = Bytes(4, 1)}, tcp(1, 2, 2, {}, 5))),
      eth(0x8100, vlan(1, 0x86dd, ipv6({.next = 58, .hop_limit = 255}, nd(135, 1, mac_a)))),
      eth(0x86dd, ipv6({.next = 0}, extension(44, 1) + fragment6(17, 0) + udp(1, 2, {}))),
      eth(0x0806, arp(1)),
  };
  for (const Bytes& frame : frames) {
    for (size_t length = 0; length < frame.size(); ++length) {
      Bytes shorter(frame.begin(), frame.begin() + static_cast<long>(length));
      shorter.shrink_to_fit();
      EXPECT_NE(parse_plain(shorter).info.drop, DropReason::None) << length;
    }
  }
}

TEST(Parse, IPv4_header_checksums_are_not_looked_at_unless_asked) {
  Bytes frame = eth(0x0800, ipv4({.checksum_error = 1}, udp(1, 2, {})));
  Packet packet = packet_of(frame);
  FlowKey key;
  PacketInfo info;
  parse(&packet, 1, RxContext{1, false, false, nullptr}, &key, &info);
  EXPECT_EQ(info.drop, DropReason::None);
}

TEST(Parse, a_burst_gives_each_packet_its_own_key) {
  std::vector<Bytes> frames;
  for (uint16_t i = 0; i < batch_max; ++i)
    frames.push_back(eth(0x0800, ipv4({}, udp(i, 53, Bytes(i % 7, 0)))));
  std::vector<Packet> packets;
  for (Bytes& frame : frames) packets.push_back(packet_of(frame));
  std::vector<FlowKey> keys(batch_max);
  std::vector<PacketInfo> infos(batch_max);
  parse(packets.data(), batch_max, RxContext{1, false, true, nullptr}, keys.data(), infos.data());
  for (uint16_t i = 0; i < batch_max; ++i) {
    EXPECT_EQ(infos[i].drop, DropReason::None);
    EXPECT_EQ(keys[i].tp_src.host(), i);
  }
}

TEST(ParseOffload, what_a_container_sends_is_taken) {
  Bytes frame = eth(0x0800, ipv4({.proto = 6}, tcp(1, 2, 0x10, Bytes(3000, 7))));
  const Offload super{offload_needs_checksum, GsoType::TcpV4, 1400, 34, 16};
  const Parsed parsed = parse_plain(frame, super);
  EXPECT_EQ(parsed.info.drop, DropReason::None);
  EXPECT_EQ(parsed.packet.offload, super);
  // As received by GRO: the checksum is vouched for, not left unfinished.
  EXPECT_EQ(parse_plain(frame, {offload_data_valid, GsoType::TcpV4, 1400, 0, 0}).info.drop,
            DropReason::None);
  Bytes datagrams = eth(0x86dd, ipv6({}, udp(1, 2, Bytes(3000, 7))));
  EXPECT_EQ(parse_plain(datagrams, {offload_needs_checksum, GsoType::UdpL4, 1400, 54, 6}).info.drop,
            DropReason::None);
  // A tunnel inside the container: the unfinished checksum is further in.
  EXPECT_EQ(parse_plain(frame, {offload_needs_checksum, GsoType::None, 0, 104, 16}).info.drop,
            DropReason::None);
}

TEST(ParseOffload, an_offload_header_that_contradicts_the_packet_is_BadOffload) {
  Bytes tcp4 = eth(0x0800, ipv4({.proto = 6}, tcp(1, 2, 0x10, Bytes(3000, 7))));
  Bytes udp4 = eth(0x0800, ipv4({}, udp(1, 2, Bytes(3000, 7))));
  Bytes part = eth(0x0800, ipv4({.proto = 6, .frag = 0x2000}, tcp(1, 2, 0x10, Bytes(3000, 7))));
  Bytes other = eth(0x1234, Bytes(100, 7));
  const uint8_t needs = offload_needs_checksum;
  const std::tuple<const char*, Bytes*, Offload> cases[] = {
      {"GSO of size 0", &tcp4, {needs, GsoType::TcpV4, 0, 34, 16}},
      {"TCPv6 GSO on IPv4", &tcp4, {needs, GsoType::TcpV6, 1400, 34, 16}},
      {"TCP GSO on UDP", &udp4, {needs, GsoType::TcpV4, 1400, 34, 6}},
      {"UDP GSO on TCP", &tcp4, {needs, GsoType::UdpL4, 1400, 34, 16}},
      {"unknown GSO", &tcp4, {needs, static_cast<GsoType>(3), 1400, 34, 16}},
      {"GSO with another start", &tcp4, {needs, GsoType::TcpV4, 1400, 38, 16}},
      {"start before L4", &tcp4, {needs, GsoType::None, 0, 14, 10}},
      {"start behind the end", &tcp4, {needs, GsoType::None, 0, 60000, 16}},
      {"field behind the end", &tcp4, {needs, GsoType::None, 0, 34, 60000}},
      {"unfinished fragment", &part, {needs, GsoType::None, 0, 34, 16}},
      {"GSO of a fragment", &part, {0, GsoType::TcpV4, 1400, 0, 0}},
      {"no IP at all", &other, {needs, GsoType::None, 0, 34, 16}},
  };
  for (const auto& [name, frame, offload] : cases)
    EXPECT_EQ(parse_plain(*frame, offload).info.drop, DropReason::BadOffload) << name;
}

TEST(ParseOffload, an_unfinished_SCTP_checksum_is_finished_at_once) {
  Bytes frame = eth(0x0800, ipv4({.proto = 132}, sctp(5, 6) + Bytes{1, 2, 3, 4}));
  const Parsed parsed = parse_plain(frame, {offload_needs_checksum, GsoType::None, 0, 34, 8});
  EXPECT_EQ(parsed.info.drop, DropReason::None);
  EXPECT_FALSE(parsed.packet.offload.any());
  EXPECT_NE(load_be32(&frame[42]).raw, 0u);
}

}  // namespace
}  // namespace vtep
