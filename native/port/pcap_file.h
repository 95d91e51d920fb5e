// port/pcap_file.h — reading capture files: classic pcap in all its variants, and the blocks of
// pcapng.
//
// Why:    replay needs the packets and nothing else, so this is 200 lines instead of a library.
// Source: draft-ietf-opsawg-pcap, draft-ietf-opsawg-pcapng.
// Thread: pure functions over bytes; every length is checked before it is believed.
// Limits: Ethernet captures only; a packet is at most packet_bytes_max, longer ones are an Error.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace vtep {

// Where a packet's bytes are in the file.
struct PcapRecord {
  size_t offset = 0;      // from the file's first byte
  uint32_t length = 0;    // captured bytes
  uint32_t original = 0;  // bytes on the wire: more than `length` when the capture cut it
};

// Finds the packets of a capture file in memory. Throws Error ERR_CONFIG_INVALID, naming `path` and
// the byte where the file ends early or makes no sense.
std::vector<PcapRecord> pcap_parse(const uint8_t* bytes, size_t size, const std::string& path);

// Reads a whole file. Throws Error ERR_DEVICE_NOT_FOUND, ERR_PERMISSION or ERR_LIMIT (over 1 GiB).
std::vector<uint8_t> pcap_read(const std::string& path);

constexpr size_t pcap_file_bytes_max = size_t{1} << 30;
constexpr uint32_t pcap_header_bytes = 24;
constexpr uint32_t pcap_record_header_bytes = 16;

// Writes a file header (nanoseconds, Ethernet, host byte order) or a record header at `out`.
void pcap_write_header(uint8_t* out) noexcept;
void pcap_write_record(uint8_t* out, uint64_t nanoseconds, uint32_t length) noexcept;

}  // namespace vtep
