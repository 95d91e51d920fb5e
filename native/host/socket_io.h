// host/socket_io.h — whole messages and descriptors over a unix stream socket.
//
// Why:    a stream cuts where it likes, and descriptors come with the first byte of what they were
//         sent with; client and server should not both have to know.
// Thread: any; one reader and one writer per socket at a time.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/fd.h"
#include "host/control_protocol.h"

namespace vtep {

struct Message {
  MessageHeader header{};
  std::vector<uint8_t> payload;
  std::vector<Fd> fds;  // received with it
};

// Sends header, payload and at most hello_fd_max descriptors. False when the peer has gone or does
// not read within `timeout_ms`.
bool send_message(int socket, const MessageHeader& header, const std::vector<uint8_t>& payload,
                  const std::vector<int>& fds, int timeout_ms) noexcept;

// Receives one whole message; waits at most `timeout_ms` for each part. False when the peer has
// gone, is too slow or announces more than message_bytes_max.
bool receive_message(int socket, Message& message, int timeout_ms);

// Whether somebody listens at `path`, or might.
bool is_served(const std::string& path);

// A unix stream socket that does not block, bound and listening at `path` with `mode`. Removes a
// socket file that nobody serves: hold its SocketLock. Throws Error{ERR_BUSY} when somebody does,
// ERR_PERMISSION or ERR_STATE_UNWRITABLE when the path cannot be made.
Fd listen_unix(const std::string& path, uint32_t mode);

// Throws Error: ERR_DATAPATH_CLOSED when nobody serves `path`, ERR_TIMEOUT when whoever does
// accepts nobody, ERR_PERMISSION.
Fd connect_unix(const std::string& path);

}  // namespace vtep
