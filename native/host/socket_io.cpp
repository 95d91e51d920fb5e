// host/socket_io.cpp — whole messages and descriptors over a unix stream socket.
#include "host/socket_io.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <cerrno>

namespace vtep {
namespace {

constexpr time_t connect_timeout_s = 5;

bool wait_for(int socket, short events, int timeout_ms) noexcept {
  pollfd wanted{socket, events, 0};
  int ready;
  do ready = poll(&wanted, 1, timeout_ms);
  while (ready < 0 && errno == EINTR);
  return ready > 0 && (wanted.revents & events) != 0;
}

bool send_bytes(int socket, const uint8_t* bytes, size_t count, int timeout_ms) noexcept {
  while (count > 0) {
    const ssize_t sent = send(socket, bytes, count, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent > 0) {
      bytes += sent;
      count -= static_cast<size_t>(sent);
      continue;
    }
    if (sent < 0 && errno == EINTR) continue;
    if (sent < 0 && errno == EAGAIN && wait_for(socket, POLLOUT, timeout_ms)) continue;
    return false;
  }
  return true;
}

bool send_header(int socket, const MessageHeader& header, const std::vector<int>& fds,
                 int timeout_ms) noexcept {
  if (fds.empty()) {
    return send_bytes(socket, reinterpret_cast<const uint8_t*>(&header), sizeof header, timeout_ms);
  }
  alignas(cmsghdr) uint8_t control[CMSG_SPACE(sizeof(int) * hello_fd_max)] = {};
  iovec part{const_cast<MessageHeader*>(&header), sizeof header};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = CMSG_SPACE(sizeof(int) * fds.size());
  cmsghdr* rights = CMSG_FIRSTHDR(&message);
  rights->cmsg_level = SOL_SOCKET;
  rights->cmsg_type = SCM_RIGHTS;
  rights->cmsg_len = CMSG_LEN(sizeof(int) * fds.size());
  memcpy(CMSG_DATA(rights), fds.data(), sizeof(int) * fds.size());
  return sendmsg(socket, &message, MSG_NOSIGNAL | MSG_DONTWAIT) ==
         static_cast<ssize_t>(sizeof header);
}

void take_fds(msghdr& message, std::vector<Fd>& fds) {
  for (cmsghdr* part = CMSG_FIRSTHDR(&message); part; part = CMSG_NXTHDR(&message, part)) {
    if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_RIGHTS) continue;
    const size_t count = (part->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (size_t i = 0; i < count; i++) {
      int number;
      memcpy(&number, CMSG_DATA(part) + i * sizeof(int), sizeof number);
      fds.emplace_back(number);
    }
  }
}

bool receive_bytes(int socket, uint8_t* bytes, size_t count, std::vector<Fd>* fds, int timeout_ms) {
  while (count > 0) {
    if (!wait_for(socket, POLLIN, timeout_ms)) return false;
    alignas(cmsghdr) uint8_t control[CMSG_SPACE(sizeof(int) * hello_fd_max)];
    iovec part{bytes, count};
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    if (fds) {
      message.msg_control = control;
      message.msg_controllen = sizeof control;
    }
    const ssize_t got = recvmsg(socket, &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
    if (got < 0 && (errno == EINTR || errno == EAGAIN)) continue;
    if (got <= 0) return false;
    if (fds) take_fds(message, *fds);
    bytes += got;
    count -= static_cast<size_t>(got);
  }
  return true;
}

sockaddr_un address_of(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.empty() || path.size() >= sizeof address.sun_path) {
    throw Error("ERR_CONFIG_INVALID", "the socket path '" + path + "' must have 1 to 107 bytes");
  }
  memcpy(address.sun_path, path.c_str(), path.size() + 1);
  return address;
}

}  // namespace

bool send_message(int socket, const MessageHeader& header, const std::vector<uint8_t>& payload,
                  const std::vector<int>& fds, int timeout_ms) noexcept {
  return send_header(socket, header, fds, timeout_ms) &&
         send_bytes(socket, payload.data(), payload.size(), timeout_ms);
}

bool receive_message(int socket, Message& message, int timeout_ms) {
  message.fds.clear();
  auto* header = reinterpret_cast<uint8_t*>(&message.header);
  if (!receive_bytes(socket, header, sizeof message.header, &message.fds, timeout_ms)) return false;
  if (message.header.bytes > message_bytes_max) return false;
  message.payload.resize(message.header.bytes);
  return receive_bytes(socket, message.payload.data(), message.payload.size(), nullptr, timeout_ms);
}

Fd connect_unix(const std::string& path) {
  const sockaddr_un address = address_of(path);
  Fd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!socket.open()) throw Error("ERR_INTERNAL", "cannot make a unix socket", errno);
  // connect() waits as long as a stopped server's backlog is full.
  const timeval limit{connect_timeout_s, 0};
  setsockopt(socket.get(), SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
  if (connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    if (errno == EAGAIN) throw Error("ERR_TIMEOUT", "the datapath at " + path + " does not answer");
    const char* code = errno == EACCES || errno == EPERM ? "ERR_PERMISSION" : "ERR_DATAPATH_CLOSED";
    throw Error(code, "cannot reach the datapath at " + path, errno);
  }
  return socket;
}

bool is_served(const std::string& path) {
  try {
    connect_unix(path);
    return true;
  } catch (const Error& error) {
    return strcmp(error.code(), "ERR_DATAPATH_CLOSED") != 0;
  }
}

Fd listen_unix(const std::string& path, uint32_t mode) {
  const sockaddr_un address = address_of(path);
  if (is_served(path)) throw Error("ERR_BUSY", "another datapath already serves " + path);
  unlink(path.c_str());
  Fd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!socket.open()) throw Error("ERR_INTERNAL", "cannot make a unix socket", errno);
  if (bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    throw Error(errno == EACCES ? "ERR_PERMISSION" : "ERR_STATE_UNWRITABLE",
                "cannot make the socket " + path, errno);
  }
  if (chmod(path.c_str(), mode) != 0 || listen(socket.get(), 4) != 0) {
    throw Error("ERR_PERMISSION", "cannot listen at " + path, errno);
  }
  return socket;
}

}  // namespace vtep
