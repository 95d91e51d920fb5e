// port/pcap_file.cpp — one cursor that never leaves the file, and the two formats on top of it.
#include "port/pcap_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "base/be.h"
#include "base/error.h"
#include "base/fd.h"
#include "base/limits.h"
#include "port/device.h"

namespace vtep {
namespace {

constexpr uint32_t magic_micro = 0xa1b2c3d4;
constexpr uint32_t magic_nano = 0xa1b23c4d;
constexpr uint32_t link_ethernet = 1;
constexpr uint32_t block_section = 0x0a0d0d0a;  // reads the same in both byte orders
constexpr uint32_t block_interface = 1;
constexpr uint32_t block_packet = 2;  // obsolete
constexpr uint32_t block_simple = 3;
constexpr uint32_t block_enhanced = 6;
constexpr uint32_t byte_order_magic = 0x1a2b3c4d;

// The file, its byte order, and how to complain about it.
class Capture {
 public:
  Capture(const uint8_t* bytes, size_t size, const std::string& path)
      : bytes_(bytes), size_(size), path_(path) {}

  std::vector<PcapRecord> parse();

 private:
  [[noreturn]] void fail(size_t at, const std::string& what) const {
    throw Error("ERR_CONFIG_INVALID",
                "capture file '" + path_ + "', byte " + std::to_string(at) + ": " + what);
  }
  // The bytes [at, at + count) exist, or the file is truncated.
  void need(size_t at, size_t count, const char* what) const {
    if (at > size_ || count > size_ - at)
      fail(at, std::string("the file ends inside ") + what + " (truncated?)");
  }
  uint32_t word(size_t at) const {
    uint32_t value;
    memcpy(&value, bytes_ + at, sizeof value);
    return swapped_ ? swap32(value) : value;
  }
  uint16_t half(size_t at) const {
    uint16_t value;
    memcpy(&value, bytes_ + at, sizeof value);
    return swapped_ ? swap16(value) : value;
  }

  void add(size_t offset, uint32_t length, uint32_t original);
  void parse_classic();
  void parse_blocks();
  void begin_section(size_t at);
  void read_block(uint32_t type, size_t body, size_t end);

  const uint8_t* bytes_;
  size_t size_;
  const std::string& path_;
  bool swapped_ = false;                // the file's byte order is not ours
  std::vector<uint32_t> snap_lengths_;  // pcapng: per interface of the section
  std::vector<PcapRecord> records_;
};

void Capture::add(size_t offset, uint32_t length, uint32_t original) {
  if (length > packet_bytes_max)
    fail(offset, "a packet of " + std::to_string(length) + " bytes, more than a port takes");
  need(offset, length, "a packet");
  records_.push_back({offset, length, original});  // parse names what is too short
}

void Capture::parse_classic() {
  need(0, pcap_header_bytes, "the file header");
  const uint32_t link = word(20) & 0x0fffffff;
  if (link != link_ethernet)
    fail(20, "link type " + std::to_string(link) + ", but a port needs Ethernet (1)");
  for (size_t at = pcap_header_bytes; at < size_;) {
    need(at, pcap_record_header_bytes, "a record header");
    const uint32_t length = word(at + 8);
    add(at + pcap_record_header_bytes, length, word(at + 12));
    at += pcap_record_header_bytes + length;
  }
}

void Capture::begin_section(size_t at) {
  need(at, 16, "a section header");
  uint32_t order;
  memcpy(&order, bytes_ + at + 8, sizeof order);
  if (order != byte_order_magic && swap32(order) != byte_order_magic)
    fail(at + 8, "a section header without byte-order magic");
  swapped_ = order != byte_order_magic;
  if (half(at + 12) != 1) fail(at + 12, "a pcapng version other than 1");
  snap_lengths_.clear();
}

void Capture::read_block(uint32_t type, size_t body, size_t end) {
  const size_t size = end - body;
  if (type == block_interface) {
    if (size < 8) fail(body, "an interface block that is too short");
    if (half(body) != link_ethernet)
      fail(body, "link type " + std::to_string(half(body)) + ", but a port needs Ethernet (1)");
    snap_lengths_.push_back(word(body + 4));
  } else if (type == block_enhanced || type == block_packet) {
    if (size < 20) fail(body, "a packet block that is too short");
    const uint32_t interface = type == block_enhanced ? word(body) : half(body);
    if (interface >= snap_lengths_.size())
      fail(body, "a packet of an interface that is not described");
    if (word(body + 12) > size - 20) fail(body + 12, "a packet that is longer than its block");
    add(body + 20, word(body + 12), word(body + 16));
  } else if (type == block_simple) {
    if (size < 4) fail(body, "a simple packet block that is too short");
    if (snap_lengths_.empty()) fail(body, "a packet of an interface that is not described");
    const uint32_t original = word(body);
    uint32_t length = original;
    if (snap_lengths_[0] != 0 && length > snap_lengths_[0]) length = snap_lengths_[0];
    if (length > size - 4) fail(body, "a packet that is longer than its block");
    add(body + 4, length, original);
  }
}

void Capture::parse_blocks() {
  for (size_t at = 0; at < size_;) {
    need(at, 12, "a block header");
    uint32_t type = word(at);
    if (type == block_section) begin_section(at);
    const uint32_t length = word(at + 4);
    if (length < 12 || length % 4 != 0) fail(at + 4, "a block length of " + std::to_string(length));
    need(at, length, "a block");
    if (word(at + length - 4) != length) fail(at + length - 4, "a block whose two lengths differ");
    if (type != block_section) read_block(type, at + 8, at + length - 4);
    at += length;
  }
}

std::vector<PcapRecord> Capture::parse() {
  need(0, 4, "the file header");
  const uint32_t magic = word(0);
  if (magic == block_section) {
    parse_blocks();
    return std::move(records_);
  }
  swapped_ = swap32(magic) == magic_micro || swap32(magic) == magic_nano;
  if (!swapped_ && magic != magic_micro && magic != magic_nano)
    fail(0, "neither a pcap nor a pcapng file");
  parse_classic();
  return std::move(records_);
}

}  // namespace

std::vector<PcapRecord> pcap_parse(const uint8_t* bytes, size_t size, const std::string& path) {
  return Capture(bytes, size, path).parse();
}

std::vector<uint8_t> pcap_read(const std::string& path) {
  const std::string doing = "reading capture file '" + path + "'";
  const Fd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file.open() && errno == ENOENT)
    throw Error("ERR_DEVICE_NOT_FOUND", "there is no capture file '" + path + "'");
  if (!file.open()) throw_errno(doing, "permission to read it", errno);
  struct stat about;
  if (::fstat(file.get(), &about) != 0) throw_errno(doing, "permission to read it", errno);
  if (!S_ISREG(about.st_mode)) throw Error("ERR_CONFIG_INVALID", doing + " failed: it is no file");
  if (static_cast<uint64_t>(about.st_size) > pcap_file_bytes_max)
    throw Error("ERR_LIMIT", doing + " failed: files for replay are at most 1 GiB");
  std::vector<uint8_t> bytes(static_cast<size_t>(about.st_size));
  size_t have = 0;
  while (have < bytes.size()) {
    const ssize_t got = ::read(file.get(), bytes.data() + have, bytes.size() - have);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) throw_errno(doing, "permission to read it", errno);
    if (got == 0) break;  // it has shrunk since
    have += static_cast<size_t>(got);
  }
  bytes.resize(have);
  return bytes;
}

void pcap_write_header(uint8_t* out) noexcept {
  const uint32_t head[] = {magic_nano, 0, 0, 0, packet_bytes_max, link_ethernet};
  memcpy(out, head, sizeof head);
  const uint16_t version[] = {2, 4};
  memcpy(out + 4, version, sizeof version);
}

void pcap_write_record(uint8_t* out, uint64_t nanoseconds, uint32_t length) noexcept {
  const uint32_t record[] = {static_cast<uint32_t>(nanoseconds / 1000000000),
                             static_cast<uint32_t>(nanoseconds % 1000000000), length, length};
  memcpy(out, record, sizeof record);
}

}  // namespace vtep
