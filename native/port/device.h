// port/device.h — what we ask the kernel about a netdev, and the sentences for when it says no.
//
// Why:    every kind of port needs a device's index, MTU, MAC and link state, and its errors have
//         to name the device and say what to do.
// Thread: control thread; nothing here is for the packet path.
// Limits: answers are about the network namespace of the calling thread.
#pragma once

#include <array>
#include <cstdint>
#include <cstring>
#include <string>

#include "port/port.h"

namespace vtep {

struct Device {
  std::string name;                 // as the configuration has it
  uint32_t ifindex = 0;             // stays when the device is renamed
  uint32_t mtu = 0;                 // L3 bytes
  bool link_up = false;             // administratively up and running
  std::array<uint8_t, 6> mac = {};  // all zero for devices without one
  std::string driver;               // "veth", "ixgbe"; empty when the driver does not say
  uint32_t queue_count = 1;         // receive queues now in use
  bool ethernet = false;            // its frames begin with an Ethernet header
};

// Throws Error ERR_DEVICE_NOT_FOUND when no device has this name, ERR_CONFIG_INVALID when its
// frames are not Ethernet.
Device find_device(const std::string& name);

// Fills ifindex, mtu, link_up and mac of `status`, or zeroes them when the device has gone.
void device_status(uint32_t ifindex, PortStatus& status) noexcept;

// Copies a sentence into a fixed field, cut at its end, always NUL-terminated.
template <size_t size>
void set_text(char (&field)[size], const std::string& text) noexcept {
  const size_t length = text.size() < size - 1 ? text.size() : size - 1;
  memcpy(field, text.data(), length);
  field[length] = 0;
}

// Throws the Error that fits `number` (EPERM, EACCES, EBUSY, ENODEV, ...). `doing` reads as the
// beginning of a sentence: "opening a packet socket on 'p1'"; `privilege` as "CAP_NET_RAW".
[[noreturn]] void throw_errno(const std::string& doing, const char* privilege, int number);

}  // namespace vtep
