// port/packet_sender.h — a queue that only sends, by an AF_PACKET socket of its own.
//
// Why:    an AF_XDP port is read by one worker; the others reach its device by this, without a
//         lock. Thread: its worker.
#pragma once

#include <memory>

#include "port/device.h"
#include "port/port.h"

namespace vtep {

// Throws Error when the socket cannot be opened.
std::unique_ptr<PortQueue> make_packet_sender(FramePool& pool, const Device& device,
                                              uint32_t port_number);

}  // namespace vtep
