// test/native/port_pcap_test.cpp — capture files: every variant read, records written, lies
// refused.
//
// tshark, where it is installed, is the judge of what we write.
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstring>
#include <fstream>

#include "base/be.h"
#include "base/error.h"
#include "port/device.h"
#include "port/pcap.h"
#include "test/native/port_support.h"

namespace vtep::test {
namespace {

using Bytes = std::vector<uint8_t>;

// Builds a file in either byte order.
class FileBuilder {
 public:
  explicit FileBuilder(bool swapped) : swapped_(swapped) {}
  FileBuilder& u32(uint32_t value) { return put(swapped_ ? swap32(value) : value); }
  FileBuilder& u16(uint16_t value) { return put(swapped_ ? swap16(value) : value); }
  FileBuilder& raw(const Bytes& bytes) {
    bytes_.insert(bytes_.end(), bytes.begin(), bytes.end());
    return *this;
  }
  FileBuilder& block(uint32_t type, const Bytes& body) {
    const uint32_t padded = static_cast<uint32_t>((body.size() + 3) & ~size_t{3});
    u32(type).u32(padded + 12).raw(body).raw(Bytes(padded - body.size()));
    return u32(padded + 12);
  }
  Bytes bytes() const { return bytes_; }

 private:
  template <typename T>
  FileBuilder& put(T value) {
    uint8_t raw[sizeof value];
    memcpy(raw, &value, sizeof value);
    bytes_.insert(bytes_.end(), raw, raw + sizeof value);
    return *this;
  }
  bool swapped_;
  Bytes bytes_;
};

Bytes classic(bool swapped, uint32_t magic, const std::vector<Bytes>& packets) {
  FileBuilder file(swapped);
  file.u32(magic).u16(2).u16(4).u32(0).u32(0).u32(65535).u32(1);
  for (const Bytes& packet : packets) {
    const auto length = static_cast<uint32_t>(packet.size());
    file.u32(1).u32(2).u32(length).u32(length + 10).raw(packet);
  }
  return file.bytes();
}

Bytes blocks(bool swapped, const Bytes& packet) {
  const auto length = static_cast<uint32_t>(packet.size());
  const auto part = [&] { return FileBuilder(swapped); };
  return part()
      .block(0x0a0d0d0a, part().u32(0x1a2b3c4d).u16(1).u16(0).u32(~0u).u32(~0u).bytes())
      .block(1, part().u16(1).u16(0).u32(0).bytes())
      .block(6, part().u32(0).u32(0).u32(0).u32(length).u32(length).raw(packet).bytes())
      .block(0xbad, Bytes(7))
      .block(3, part().u32(length).raw(packet).bytes())
      .bytes();
}

std::string refusal(const Bytes& bytes) {
  try {
    pcap_parse(bytes.data(), bytes.size(), "x.pcap");
  } catch (const Error& error) {
    EXPECT_STREQ(error.code(), "ERR_CONFIG_INVALID");
    EXPECT_NE(std::string(error.what()).find("'x.pcap'"), std::string::npos);
    return error.what();
  }
  return "accepted";
}

TEST(Pcap, EveryVariantOfBothFormatsIsRead) {
  const Bytes packet = ethernet_frame(0x800, 61);
  for (const bool swapped : {false, true}) {
    for (const uint32_t magic : {0xa1b2c3d4u, 0xa1b23c4du}) {
      const Bytes file = classic(swapped, magic, {packet, packet});
      const auto records = pcap_parse(file.data(), file.size(), "x.pcap");
      ASSERT_EQ(records.size(), 2u);
      EXPECT_EQ(records[1].length, packet.size());
      EXPECT_EQ(records[1].original, packet.size() + 10);
      EXPECT_EQ(memcmp(file.data() + records[1].offset, packet.data(), packet.size()), 0);
    }
    const Bytes file = blocks(swapped, packet);
    const auto records = pcap_parse(file.data(), file.size(), "x.pcap");
    ASSERT_EQ(records.size(), 2u);
    for (const PcapRecord& record : records)
      EXPECT_EQ(memcmp(file.data() + record.offset, packet.data(), packet.size()), 0);
  }
}

TEST(Pcap, EveryCutOfAFileEndsInAnErrorOrInFewerPackets) {
  const Bytes packet = ethernet_frame(0x800, 61);
  for (const Bytes& file : {classic(false, 0xa1b2c3d4, {packet, packet}), blocks(false, packet)}) {
    uint32_t refused = 0;
    for (size_t size = 0; size < file.size(); ++size) {
      const Bytes cut(file.begin(), file.begin() + static_cast<ptrdiff_t>(size));
      try {
        EXPECT_LT(pcap_parse(cut.data(), cut.size(), "x.pcap").size(), 2u);
      } catch (const Error& error) {
        ++refused;
        EXPECT_NE(std::string(error.what()).find("truncated"), std::string::npos) << error.what();
      }
    }
    EXPECT_GT(refused, file.size() - 8);
  }
}

TEST(Pcap, LiesAreRefusedWithTheByteTheyStandAt) {
  EXPECT_NE(refusal(Bytes(40, 0x55)).find("neither a pcap nor a pcapng"), std::string::npos);
  Bytes file = classic(false, 0xa1b2c3d4, {ethernet_frame(0x800, 61)});
  file[20] = 101;
  EXPECT_NE(refusal(file).find("byte 20: link type 101"), std::string::npos);
  file = classic(false, 0xa1b2c3d4, {ethernet_frame(0x800, 61)});
  memset(file.data() + 32, 0xff, 4);
  EXPECT_NE(refusal(file).find("byte 40: a packet of 4294967295 bytes"), std::string::npos);
  const auto part = [] { return FileBuilder(false); };
  EXPECT_NE(refusal(part().u32(0x0a0d0d0a).u32(28).raw(Bytes(20)).bytes()).find("byte-order"),
            std::string::npos);
  const Bytes section = part().u32(0x1a2b3c4d).u16(1).u16(0).u32(~0u).u32(~0u).bytes();
  EXPECT_NE(
      refusal(part().block(0x0a0d0d0a, section).block(6, Bytes(20)).bytes()).find("not described"),
      std::string::npos);
}

class PcapPortTest : public ::testing::Test {
 protected:
  PcapPortTest() {
    char folder[] = "/tmp/vtep-pcap-XXXXXX";
    folder_ = mkdtemp(folder);
  }
  ~PcapPortTest() override { run(-1, "rm -r " + folder_); }

  PortConfig config(const std::string& rx, const std::string& tx) {
    PortConfig config = port_config(3, PortKind::Pcap, "");
    if (!rx.empty()) set_text(config.rx_path, folder_ + rx);
    if (!tx.empty()) set_text(config.tx_path, folder_ + tx);
    return config;
  }

  std::string folder_;
  FramePool pool_{{.small_count = 1024, .large_count = 16, .huge_pages = false}};
};

TEST_F(PcapPortTest, WhatOnePortRecordsAnotherReplaysAndTsharkReads) {
  const FreeFrames before(pool_);
  FrameCache frames(pool_);
  {
    auto port = make_port(config("", "/a.pcap"), pool_);
    auto queue = port->open_queue(0, false);
    for (const size_t payload : {46u, 1500u, 65000u}) {
      const Bytes frame = ethernet_frame(0x88b5, payload);
      Packet packet = frames.make(static_cast<uint32_t>(frame.size()));
      memcpy(packet.data, frame.data(), frame.size());
      queue->tx_burst(frames, &packet, 1);
    }
    queue->flush(frames);
  }
  auto port = make_port(config("/a.pcap", ""), pool_);
  auto queue = port->open_queue(0, true);
  EXPECT_TRUE(queue->pending());
  Packet packets[8];
  ASSERT_EQ(queue->rx_burst(frames, packets, 8), 3u);
  EXPECT_FALSE(queue->pending());
  EXPECT_EQ(Bytes(packets[2].data, packets[2].data + packets[2].length),
            ethernet_frame(0x88b5, 65000));
  for (uint32_t i = 0; i < 3; ++i) frames.free(packets[i]);
  std::string output;
  if (run_status(-1, "command -v tshark", output) != 0) return;
  EXPECT_EQ(run(-1, "tshark -r " + folder_ + "/a.pcap -T fields -e frame.len 2>/dev/null"),
            "60\n1514\n65014\n");
}

TEST_F(PcapPortTest, ALoopNeverEndsAndNoFrameIsLost) {
  const Bytes file =
      classic(true, 0xa1b2c3d4, {ethernet_frame(0x800, 46), ethernet_frame(0x806, 46)});
  std::ofstream(folder_ + "/b.pcap", std::ios::binary)
      .write(reinterpret_cast<const char*>(file.data()), static_cast<std::streamsize>(file.size()));
  PortConfig looped = config("/b.pcap", "");
  looped.flags = port_flag_loop;
  auto port = make_port(looped, pool_);
  EXPECT_NE(std::string(port->status().why).find("2 packets of the file are cut"),
            std::string::npos);
  auto queue = port->open_queue(0, true);
  FrameCache frames(pool_);
  Packet packets[7];
  for (uint32_t round = 0; round < 1000; ++round) {
    ASSERT_EQ(queue->rx_burst(frames, packets, 7), 7u);
    queue->tx_burst(frames, packets, 7);
  }
  EXPECT_TRUE(queue->pending());
}

TEST_F(PcapPortTest, AFullDiskEndsTheRecordingAndIsCounted) {
  PortConfig full = config("", "");
  set_text(full.tx_path, "/dev/full");
  EXPECT_THROW(make_port(full, pool_), Error);
}

TEST_F(PcapPortTest, AMissingFileIsNamed) {
  try {
    make_port(config("/none.pcap", ""), pool_);
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_STREQ(error.code(), "ERR_DEVICE_NOT_FOUND");
    EXPECT_NE(std::string(error.what()).find("/none.pcap"), std::string::npos);
  }
}

}  // namespace
}  // namespace vtep::test
