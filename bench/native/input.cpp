// bench/native/input.cpp — frames from nothing but their number, and capture files of them.

#include "bench/native/input.h"

#include <cerrno>
#include <cstring>
#include <fstream>
#include <random>

#include "base/be.h"
#include "base/error.h"
#include "bench/native/colliding.h"
#include "packet/checksum.h"
#include "port/pcap_file.h"

namespace vtep::bench {

namespace {

constexpr uint32_t ethernet_bytes = 14;
constexpr uint32_t ipv4_bytes = 20;
constexpr uint32_t udp_bytes = 8;
constexpr uint32_t vxlan_bytes = 8;
constexpr uint32_t outer_bytes = ethernet_bytes + ipv4_bytes + udp_bytes + vxlan_bytes;
constexpr uint32_t inner_bytes = 60;  // without FCS
constexpr uint32_t inner_payload = inner_bytes - ethernet_bytes - ipv4_bytes - udp_bytes;
constexpr uint32_t address_count = 60000;
constexpr uint16_t vxlan_port = 4789;
constexpr uint64_t random_seed = 1;

std::vector<Source> plain_sources(uint32_t count) {
  std::vector<Source> sources;
  for (uint32_t flow = 0; flow < count; flow++)
    sources.push_back(
        {0x0a000001 + flow % address_count, static_cast<uint16_t>(1024 + flow / address_count)});
  return sources;
}

void put_ethernet(uint8_t* at, const uint8_t (&macs)[12]) {
  memcpy(at, macs, sizeof macs);
  store_be16(at + 12, be16(0x0800));
}

struct Datagram {
  uint32_t source, target;            // addresses, host order
  uint16_t source_port, target_port;  // host order
  uint16_t id, flags;                 // of the IPv4 header, host order
  uint32_t payload;                   // bytes behind the UDP header
};

// IPv4 and UDP headers; the UDP checksum stays zero: none (RFC 768).
void put_datagram(uint8_t* ip, const Datagram& from) {
  const auto udp_length = static_cast<uint16_t>(udp_bytes + from.payload);
  ip[0] = 0x45;
  store_be16(ip + 2, be16(static_cast<uint16_t>(ipv4_bytes + udp_length)));
  store_be16(ip + 4, be16(from.id));
  store_be16(ip + 6, be16(from.flags));
  ip[8] = 64;
  ip[9] = 17;
  store_be32(ip + 12, be32(from.source));
  store_be32(ip + 16, be32(from.target));
  store_be16(ip + 10, checksum_finish(checksum_add(ip, ipv4_bytes)));
  uint8_t* udp = ip + ipv4_bytes;
  store_be16(udp, be16(from.source_port));
  store_be16(udp + 2, be16(from.target_port));
  store_be16(udp + 4, be16(udp_length));
}

void put_inner(uint8_t* at, uint32_t flow, const Source& source) {
  constexpr uint8_t macs[12] = {2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1};
  put_ethernet(at, macs);
  put_datagram(at + ethernet_bytes, {.source = source.address,
                                     .target = 0x0a010002,
                                     .source_port = source.port,
                                     .target_port = input_udp_port,
                                     .id = static_cast<uint16_t>(flow),
                                     .flags = 0,
                                     .payload = inner_payload});
}

void put_reply(uint8_t* at, uint32_t flow, const Source& source) {
  constexpr uint8_t macs[12] = {2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2};
  put_ethernet(at, macs);
  put_datagram(at + ethernet_bytes, {.source = 0x0a010002,
                                     .target = source.address,
                                     .source_port = input_udp_port,
                                     .target_port = source.port,
                                     .id = static_cast<uint16_t>(flow),
                                     .flags = 0,
                                     .payload = inner_payload});
}

// The source port carries the flow's entropy (RFC 7348 section 5), here a multiplicative hash.
void put_outer(uint8_t* at, uint32_t flow) {
  constexpr uint8_t macs[12] = {2, 0, 0, 0, 0xaa, 1, 2, 0, 0, 0, 0xaa, 2};
  const uint64_t entropy = (flow * uint64_t{2654435761} >> 8) % 16384;
  put_ethernet(at, macs);
  put_datagram(at + ethernet_bytes, {.source = 0xac1f0102,
                                     .target = 0xac1f0101,
                                     .source_port = static_cast<uint16_t>(49152 + entropy),
                                     .target_port = vxlan_port,
                                     .id = 0,
                                     .flags = 0x4000,
                                     .payload = vxlan_bytes + inner_bytes});
  uint8_t* vxlan = at + outer_bytes - vxlan_bytes;
  vxlan[0] = 0x08;
  store_be32(vxlan + 4, be32(input_vni << 8));
}

Frame frame_of(InputKind kind, uint32_t flow, const Source& source) {
  const uint32_t before = kind == InputKind::Inner ? 0 : outer_bytes;
  Frame frame(before + inner_bytes, 0);
  if (before != 0) put_outer(frame.data(), flow);
  if (kind == InputKind::Replies)
    put_reply(frame.data() + before, flow, source);
  else
    put_inner(frame.data() + before, flow, source);
  return frame;
}

}  // namespace

std::vector<Frame> input_frames(const Input& input) {
  const std::vector<Source> sources =
      input.colliding ? colliding_sources(input.flows) : plain_sources(input.flows);
  std::vector<Frame> frames;
  frames.reserve(input.flows);
  for (uint32_t flow = 0; flow < input.flows; flow++)
    frames.push_back(frame_of(input.kind, flow, sources[flow]));
  std::mt19937_64 random(random_seed);
  // Fisher-Yates by hand: std::shuffle may differ between libraries.
  for (uint32_t i = input.flows; input.order == InputOrder::Random && i > 1; i--)
    std::swap(frames[i - 1], frames[random() % i]);
  return frames;
}

void write_capture(const std::string& path, const std::vector<Frame>& frames) {
  std::ofstream file(path, std::ios::binary);
  uint8_t header[pcap_header_bytes];
  pcap_write_header(header);
  // Of the two kinds of classic pcap VPP reads the older one only: microseconds. The times of these
  // packets mean nothing.
  const uint32_t magic_microseconds = 0xa1b2c3d4;
  memcpy(header, &magic_microseconds, sizeof magic_microseconds);
  file.write(reinterpret_cast<const char*>(header), sizeof header);
  uint64_t nanoseconds = 0;
  for (const Frame& frame : frames) {
    uint8_t record[pcap_record_header_bytes];
    pcap_write_record(record, nanoseconds++, static_cast<uint32_t>(frame.size()));
    file.write(reinterpret_cast<const char*>(record), sizeof record);
    file.write(reinterpret_cast<const char*>(frame.data()), static_cast<long>(frame.size()));
  }
  file.close();
  if (file.fail())
    throw Error("ERR_PERMISSION", "writing '" + path + "' failed: " + strerror(errno));
}

std::vector<Frame> read_capture(const std::string& path) {
  const std::vector<uint8_t> bytes = pcap_read(path);
  std::vector<Frame> frames;
  for (const PcapRecord& record : pcap_parse(bytes.data(), bytes.size(), path)) {
    const uint8_t* at = bytes.data() + record.offset;
    frames.emplace_back(at, at + record.length);
  }
  return frames;
}

}  // namespace vtep::bench
