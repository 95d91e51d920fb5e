// test/fuzz/pcap_fuzz.cpp — any bytes are a capture file: packets inside the file, or an Error.
#include <cstdlib>
#include <string>

#include "base/error.h"
#include "port/pcap_file.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size) {
  static const std::string path = "fuzz";
  try {
    for (const vtep::PcapRecord& record : vtep::pcap_parse(bytes, size, path))
      if (record.offset > size || record.length > size - record.offset) abort();
  } catch (const vtep::Error&) {
  }
  return 0;
}
