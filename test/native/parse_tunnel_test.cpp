// test/native/parse_tunnel_test.cpp — tunnel packets: opened if good and ours, else left or named.
#include <gtest/gtest.h>

#include <memory>

#include "base/error.h"
#include "flow/parse.h"
#include "packet/checksum.h"
#include "packet_bytes.h"

namespace vtep {
namespace {

using namespace bytes;  // NOLINT: the test speaks in packets

constexpr uint32_t vtep_us = 0xac1f0101;    // 172.31.1.1
constexpr uint32_t vtep_them = 0xac1f0102;  // 172.31.1.2
constexpr uint32_t stranger = 0xac1f0109;
const Bytes vtep6_us = ip6(0x51);
const Bytes vtep6_them = ip6(0x52);

// VNI 100 is VXLAN, 200 is Geneve; the remote VTEP is tunnel 7 by IPv4 and 8 by IPv6.
class ParseTunnel : public ::testing::Test {
 protected:
  ParseTunnel() {
    const TunnelEndpoints::Endpoint ours[] = {{address4(vtep_us), be16(4789), be16(6081)},
                                              {address6(vtep6_us), be16(4789), be16(6081)}};
    endpoints->set_endpoints(ours, 2);
    endpoints->set_tunnel(7, address4(vtep_them));
    endpoints->set_tunnel(8, address6(vtep6_them));
    endpoints->set_network(100, Encap::Vxlan);
    endpoints->set_network(200, Encap::Geneve);
  }

  void open(Bytes& frame, Offload offload = {}, bool verify = true) {
    packet = packet_of(frame);
    packet.offload = offload;
    parse(&packet, 1, RxContext{2, true, verify, endpoints.get()}, &key, &info);
  }
  DropReason verdict(Bytes frame, Offload offload = {}) {
    frame.shrink_to_fit();
    open(frame, offload);
    return info.drop;
  }

  std::unique_ptr<TunnelEndpoints> endpoints = std::make_unique<TunnelEndpoints>();
  Packet packet;
  FlowKey key;
  PacketInfo info;
};

const Bytes inner_frame = eth(0x0800, ipv4({}, udp(5, 6, {1, 2, 3})));

Bytes outer4(uint16_t port, const Bytes& payload, Ip4 ip = {}) {
  ip.src = ip.src == ip_a ? vtep_them : ip.src;
  ip.dst = ip.dst == ip_b ? vtep_us : ip.dst;
  return eth(0x0800, ipv4(ip, udp(50000, port, payload)));
}
Bytes outer6(uint16_t port, const Bytes& payload, Ip6 ip = {}) {
  ip.src = vtep6_them;
  ip.dst = vtep6_us;
  return eth(0x86dd, ipv6(ip, with_udp_checksum(ip, udp(50000, port, payload))));
}

TEST_F(ParseTunnel, a_VXLAN_packet_is_opened_and_its_metadata_are_key_fields) {
  Bytes frame = outer4(4789, vxlan(100, inner_frame));
  open(frame);
  EXPECT_EQ(info.drop, DropReason::None);
  EXPECT_EQ(info.outer_bytes, 50u);
  EXPECT_EQ(packet.data, frame.data() + 50);
  EXPECT_EQ(packet.length, inner_frame.size());
  EXPECT_EQ(key.in_port, 2u);
  EXPECT_EQ(key.tunnel_id, 100u);
  EXPECT_EQ(key.tunnel_src, 7);
  EXPECT_EQ(key.tunnel_port, 0u);
  EXPECT_EQ(key.tp_dst.host(), 6);
  EXPECT_EQ(info.l3, 14);
}

TEST_F(ParseTunnel, Geneve_over_IPv6_with_our_option_and_an_unknown_harmless_one) {
  const Bytes options =
      geneve_option(0x0102, 0x33, Bytes(8, 9)) +
      geneve_option(geneve_option_class, geneve_option_type, number32(4711) + number32(200));
  Bytes frame = outer6(6081, geneve({.vni = 200, .options = options}, inner_frame));
  open(frame);
  EXPECT_EQ(info.drop, DropReason::None);
  EXPECT_EQ(info.outer_bytes, 14u + 40 + 8 + 8 + 24);
  EXPECT_EQ(key.tunnel_id, 200u);
  EXPECT_EQ(key.tunnel_src, 8);
  EXPECT_EQ(key.tunnel_port, 4711u);
}

TEST_F(ParseTunnel, an_underlay_VLAN_and_padding_of_the_outer_frame_are_trimmed_too) {
  Bytes frame = outer4(4789, vxlan(100, inner_frame));
  Bytes tagged = Bytes(frame.begin(), frame.begin() + 12) + number16(0x8100) + number16(9) +
                 Bytes(frame.begin() + 12, frame.end()) + Bytes(10, 0xee);
  open(tagged);
  EXPECT_EQ(info.drop, DropReason::None);
  EXPECT_EQ(info.outer_bytes, 54u);
  EXPECT_EQ(packet.length, inner_frame.size());
  EXPECT_EQ(key.vlan_tci.raw, 0);
}

TEST_F(ParseTunnel, packets_that_are_not_ours_are_left_alone) {
  const Bytes payload = vxlan(100, inner_frame);
  const Bytes good = outer4(4789, payload);
  const std::pair<const char*, Bytes> cases[] = {
      {"another address", outer4(4789, payload, {.dst = stranger})},
      {"another port", outer4(4790, payload)},
      {"TCP", outer4(4789, payload, {.proto = 6})},
      {"ARP", eth(0x0806, arp(1))},
      {"a later fragment", outer4(4789, payload, {.frag = 0x0004})},
      {"a truncated IP header", Bytes(good.begin(), good.begin() + 30)},
      {"nothing", {}},
  };
  for (const auto& [name, bytes] : cases) {
    Bytes frame = bytes;
    frame.shrink_to_fit();
    open(frame);
    EXPECT_EQ(info.drop, DropReason::None) << name;
    EXPECT_EQ(info.outer_bytes, 0u) << name;
    EXPECT_EQ(packet.length, frame.size()) << name;
  }
}

TEST_F(ParseTunnel, every_flaw_of_a_tunnel_packet_has_its_drop_reason) {
  const Bytes good = vxlan(100, inner_frame);
  const Gnv plain{.vni = 200};
  const Bytes critical = geneve_option(0x0102, 0x80, Bytes(4, 0));
  const Bytes short_ours = geneve_option(geneve_option_class, geneve_option_type, Bytes(4, 0));
  Bytes bad_checksum =
      with_udp_checksum(Ip4{.src = vtep_them, .dst = vtep_us}, udp(50000, 4789, good));
  bad_checksum[6] ^= 0x40;
  Bytes long_udp = outer4(4789, good);
  patch16(long_udp, 38, 2000);
  Bytes short_udp = outer4(4789, good);
  patch16(short_udp, 38, 7);
  Ip6 six;
  six.src = vtep6_them, six.dst = vtep6_us;
  const std::tuple<const char*, Bytes, DropReason> cases[] = {
      {"outer first fragment", outer4(4789, good, {.frag = 0x2000}), DropReason::OuterFragment},
      {"outer IPv4 length", outer4(4789, good, {.length_error = 5}), DropReason::BadIpv4},
      {"outer IPv4 checksum", outer4(4789, good, {.checksum_error = 8}),
       DropReason::BadIpv4Checksum},
      {"outer UDP checksum", eth(0x0800, ipv4({.src = vtep_them, .dst = vtep_us}, bad_checksum)),
       DropReason::BadOuterChecksum},
      {"outer UDP too long", long_udp, DropReason::BadOuterUdp},
      {"outer UDP too short", short_udp, DropReason::BadOuterUdp},
      {"outer IPv6 without checksum", eth(0x86dd, ipv6(six, udp(50000, 4789, good))),
       DropReason::ZeroUdp6Checksum},
      {"VXLAN header cut", outer4(4789, {8, 0, 0, 0, 0, 0, 100}), DropReason::BadVxlan},
      {"VXLAN without I", outer4(4789, vxlan(100, inner_frame, 0)), DropReason::BadVxlan},
      {"Geneve header cut", outer4(6081, {0, 0, 0x65, 0x58}), DropReason::BadGeneve},
      {"Geneve version 1", outer4(6081, geneve({.vni = 200, .version = 1}, inner_frame)),
       DropReason::BadGeneve},
      {"Geneve options behind the end",
       outer4(6081, geneve({.vni = 200, .option_words_error = 63}, inner_frame)),
       DropReason::BadGeneve},
      {"Geneve option behind the options",
       outer4(6081,
              geneve({.vni = 200, .options = critical, .option_words_error = -1}, inner_frame)),
       DropReason::BadGeneve},
      {"our option of another length",
       outer4(6081, geneve({.vni = 200, .options = short_ours}, inner_frame)),
       DropReason::BadGeneve},
      {"critical option",
       outer4(6081, geneve({.vni = 200, .options = critical, .flags = 0x40}, inner_frame)),
       DropReason::GeneveCriticalOption},
      {"control packet", outer4(6081, geneve({.vni = 200, .flags = 0x80}, inner_frame)),
       DropReason::GeneveControl},
      {"IPv4 payload", outer4(6081, geneve({.vni = 200, .protocol = 0x0800}, inner_frame)),
       DropReason::GeneveProtocol},
      {"stranger", outer4(4789, good, {.src = stranger}), DropReason::UnknownVtep},
      {"VNI nobody has", outer4(4789, vxlan(101, inner_frame)), DropReason::UnknownVni},
      {"VXLAN of a Geneve network", outer4(4789, vxlan(200, inner_frame)), DropReason::WrongEncap},
      {"Geneve of a VXLAN network", outer4(6081, geneve({.vni = 100}, inner_frame)),
       DropReason::WrongEncap},
      {"no inner frame", outer4(4789, vxlan(100, Bytes(13, 0))), DropReason::TooShort},
      {"bad inner frame", outer4(6081, geneve(plain, eth(0x0800, Bytes(10, 0)))),
       DropReason::BadIpv4},
  };
  for (const auto& [name, frame, reason] : cases) EXPECT_EQ(verdict(frame), reason) << name;
}

TEST_F(ParseTunnel, reserved_bits_and_fields_of_VXLAN_are_ignored) {
  Bytes payload = vxlan(100, inner_frame, 0xff);
  payload[1] = payload[2] = payload[3] = payload[7] = 0xff;
  EXPECT_EQ(verdict(outer4(4789, payload)), DropReason::None);
  EXPECT_EQ(key.tunnel_id, 100u);
}

TEST_F(ParseTunnel, UDP_over_IPv6_without_checksum_passes_where_the_model_allows_it) {
  Ip6 ip;
  ip.src = vtep6_them, ip.dst = vtep6_us;
  const Bytes frame = eth(0x86dd, ipv6(ip, udp(50000, 4789, vxlan(100, inner_frame))));
  endpoints->zero_udp6_checksum_allowed = true;
  EXPECT_EQ(verdict(frame), DropReason::None);
}

TEST_F(ParseTunnel, a_checksum_that_the_device_vouches_for_is_not_summed_again) {
  Bytes frame = outer6(4789, vxlan(100, inner_frame));
  frame[60] ^= 1;  // the outer UDP checksum
  EXPECT_EQ(verdict(frame), DropReason::BadOuterChecksum);
  EXPECT_EQ(verdict(frame, {offload_data_valid, GsoType::None, 0, 0, 0}), DropReason::None);
  EXPECT_EQ(packet.offload.flags, 0);  // it vouched for the outer one only
}

TEST_F(ParseTunnel, an_unfinished_outer_checksum_goes_with_the_outer_header) {
  Bytes frame = outer4(4789, vxlan(100, inner_frame));
  open(frame, {offload_needs_checksum, GsoType::None, 0, 34, 6});
  EXPECT_EQ(info.drop, DropReason::None);
  EXPECT_EQ(packet.offload, Offload{});
}

TEST_F(ParseTunnel, an_inner_superpacket_of_a_sender_on_this_machine_stays_one) {
  const Bytes inner = eth(0x0800, ipv4({.proto = 6}, tcp(1, 2, 0x10, Bytes(5000, 1))));
  Bytes frame = outer4(4789, vxlan(100, inner));
  open(frame, {offload_needs_checksum, GsoType::TcpV4, 1400, 50 + 34, 16});
  EXPECT_EQ(info.drop, DropReason::None);
  EXPECT_EQ(packet.offload, (Offload{offload_needs_checksum, GsoType::TcpV4, 1400, 34, 16}));
}

TEST_F(ParseTunnel, a_superpacket_of_outer_datagrams_must_have_been_split_before) {
  Bytes frame = outer4(4789, vxlan(100, inner_frame));
  EXPECT_EQ(verdict(frame, {offload_needs_checksum, GsoType::UdpL4, 100, 34, 6}),
            DropReason::BadOffload);
  // An unfinished checksum of the inner packet that is not where its L4 header is.
  EXPECT_EQ(verdict(frame, {offload_needs_checksum, GsoType::TcpV4, 100, 84, 6}),
            DropReason::BadOffload);
}

// RFC 6040 figure 4: rows are the inner field, columns the outer one.
TEST_F(ParseTunnel, ECN_is_combined_as_RFC_6040_says) {
  constexpr int drop = -1;
  const int expected[4][4] = {
      // outer: Not-ECT, ECT(1), ECT(0), CE
      {0, 0, 0, drop},  // inner Not-ECT
      {1, 1, 1, 3},     // inner ECT(1)
      {2, 1, 2, 3},     // inner ECT(0)
      {3, 3, 3, 3},     // inner CE
  };
  for (uint8_t inner = 0; inner < 4; ++inner) {
    for (uint8_t outer = 0; outer < 4; ++outer) {
      const Ip4 ip4{.tos = static_cast<uint8_t>(0xb8 | inner)};
      Ip6 ip6_inner;
      ip6_inner.traffic_class = static_cast<uint8_t>(0xb8 | inner);
      const Bytes frames[] = {eth(0x0800, ipv4(ip4, udp(1, 2, {}))),
                              eth(0x8100, vlan(1, 0x86dd, ipv6(ip6_inner, udp(1, 2, {}))))};
      for (const Bytes& inside : frames) {
        Bytes frame = outer4(4789, vxlan(100, inside), {.tos = outer});
        open(frame);
        EXPECT_EQ(info.outer_tos, outer);
        if (expected[inner][outer] == drop) {
          EXPECT_EQ(info.drop, DropReason::EcnIllegal);
          continue;
        }
        ASSERT_EQ(info.drop, DropReason::None);
        // What parse says of the packet, and what its bytes say when parsed again.
        const uint8_t tos = static_cast<uint8_t>(0xb8 | expected[inner][outer]);
        EXPECT_EQ(info.ip_tos, tos);
        PacketInfo again;
        parse(&packet, 1, RxContext{2, false, true, nullptr}, &key, &again);
        EXPECT_EQ(again.drop, DropReason::None);
        EXPECT_EQ(again.ip_tos, tos);
      }
    }
  }
}

TEST_F(ParseTunnel, an_inner_ARP_packet_has_no_ECN_to_combine) {
  EXPECT_EQ(verdict(outer4(4789, vxlan(100, eth(0x0806, arp(1))), {.tos = 3})), DropReason::None);
}

TEST_F(ParseTunnel, no_cut_of_a_tunnel_packet_is_read_behind_its_end) {
  const Bytes options = geneve_option(geneve_option_class, geneve_option_type, Bytes(8, 1));
  const Bytes frames[] = {
      outer4(4789, vxlan(100, inner_frame)),
      outer4(6081, geneve({.vni = 200, .options = options}, inner_frame)),
      outer6(6081, geneve({.vni = 200, .options = options}, inner_frame)),
  };
  for (const Bytes& frame : frames) {
    for (size_t length = 0; length < frame.size(); ++length) {
      Bytes shorter(frame.begin(), frame.begin() + static_cast<long>(length));
      shorter.shrink_to_fit();
      open(shorter, {}, false);
      EXPECT_TRUE(info.drop != DropReason::None || info.outer_bytes == 0) << length;
    }
  }
}

TEST(TunnelEndpoints, know_a_vtep_by_the_tunnel_of_the_packets_encapsulation) {
  auto endpoints = std::make_unique<TunnelEndpoints>();
  const AddressWords them = AddressWords::of(address4(vtep_them));
  endpoints->set_tunnel(3, address4(vtep_them), Encap::Geneve);
  EXPECT_EQ(endpoints->tunnel_of(them, Encap::Geneve), 3);
  EXPECT_EQ(endpoints->tunnel_of(them, Encap::Vxlan), 3) << "there is no other";
  endpoints->set_tunnel(5, address4(vtep_them), Encap::Vxlan);
  EXPECT_EQ(endpoints->tunnel_of(them, Encap::Geneve), 3);
  EXPECT_EQ(endpoints->tunnel_of(them, Encap::Vxlan), 5);
}

TEST(TunnelEndpoints, hold_all_tunnels_and_networks_and_refuse_more) {
  auto endpoints = std::make_unique<TunnelEndpoints>();
  for (uint32_t i = 1; i < tunnel_max; ++i)
    endpoints->set_tunnel(static_cast<uint16_t>(i), address4(0x0b000000 + i * 3));
  for (uint32_t i = 1; i < tunnel_max; ++i)
    ASSERT_EQ(endpoints->tunnel_of(AddressWords::of(address4(0x0b000000 + i * 3))), i);
  EXPECT_EQ(endpoints->tunnel_of(AddressWords::of(address4(0x0b000001))), 0);
  EXPECT_THROW(endpoints->set_tunnel(0, address4(1)), Error);
  EXPECT_THROW(endpoints->set_tunnel(tunnel_max, address4(1)), Error);
  uint32_t vni = 0;
  try {
    for (; vni < 1u << 24; ++vni)
      endpoints->set_network(vni, vni % 2 ? Encap::Vxlan : Encap::Geneve);
    FAIL() << "the table took every VNI there is";
  } catch (const Error& error) {
    EXPECT_STREQ(error.code(), "ERR_LIMIT");
  }
  EXPECT_GE(vni, 8192u);
  for (uint32_t known = 0; known < vni; ++known) {
    ASSERT_EQ(endpoints->network(known),
              known % 2 ? TunnelEndpoints::VniKind::Vxlan : TunnelEndpoints::VniKind::Geneve);
  }
  EXPECT_EQ(endpoints->network(vni), TunnelEndpoints::VniKind::Unknown);
  const TunnelEndpoints::Endpoint many[endpoint_max + 1] = {};
  EXPECT_THROW(endpoints->set_endpoints(many, endpoint_max + 1), Error);
}

}  // namespace
}  // namespace vtep
