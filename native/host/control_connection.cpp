// host/control_connection.cpp — see control_connection.h.
#include "host/control_connection.h"

#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace vtep {
namespace {

// Memory is taken as bytes arrive: a header alone may announce 16 MiB.
constexpr size_t chunk_bytes = 64 * 1024;

}  // namespace

ControlConnection::ControlConnection(Fd socket, uint64_t now_ms)
    : socket_(std::move(socket)), due_ms_(now_ms + client_timeout_ms) {}

void ControlConnection::close() noexcept {
  socket_.close();
  got_ = sent_ = 0;
  out_.clear();
  due_ms_ = never;
}

short ControlConnection::events() const noexcept { return out_.empty() ? POLLIN : POLLOUT; }

int ControlConnection::wait_ms(uint64_t now_ms) const noexcept {
  if (!open() || due_ms_ == never) return -1;
  return due_ms_ <= now_ms ? 0 : static_cast<int>(due_ms_ - now_ms);
}

ControlConnection::Got ControlConnection::receive(uint64_t now_ms) {
  for (;;) {
    const bool head = got_ < sizeof message_.header;
    const size_t at = head ? got_ : got_ - sizeof message_.header;
    const size_t bytes = head ? sizeof message_.header : message_.header.bytes;
    if (!head && at == bytes) break;
    const size_t wanted = std::min(bytes - at, chunk_bytes);
    if (!head) message_.payload.resize(at + wanted);
    uint8_t* to = head ? reinterpret_cast<uint8_t*>(&message_.header) : message_.payload.data();
    const ssize_t got = recv(socket_.get(), to + at, wanted, MSG_DONTWAIT);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0 && errno == EAGAIN) return Got::Nothing;
    if (got <= 0) return Got::Gone;
    if (got_ == 0 && due_ms_ == never) due_ms_ = now_ms + client_timeout_ms;
    got_ += static_cast<size_t>(got);
    if (!head) message_.payload.resize(at + static_cast<size_t>(got));
    if (got_ != sizeof message_.header) continue;
    if (message_.header.bytes > message_bytes_max) return Got::Gone;
    message_.payload.clear();
  }
  got_ = 0;
  due_ms_ = never;
  return Got::Message;
}

void ControlConnection::reply(uint32_t status, const std::vector<uint8_t>& payload,
                              uint64_t now_ms) {
  const MessageHeader header{static_cast<uint32_t>(payload.size()), message_.header.call, status,
                             message_.header.sequence};
  out_.resize(sizeof header + payload.size());
  memcpy(out_.data(), &header, sizeof header);
  if (!payload.empty()) memcpy(out_.data() + sizeof header, payload.data(), payload.size());
  sent_ = 0;
  due_ms_ = now_ms + client_timeout_ms;
  send_rest(now_ms);
}

bool ControlConnection::reply_with(const std::vector<uint8_t>& payload,
                                   const std::vector<int>& fds) noexcept {
  const MessageHeader header{static_cast<uint32_t>(payload.size()), message_.header.call, 0,
                             message_.header.sequence};
  return send_message(socket_.get(), header, payload, fds, 0);
}

// A client that reads makes progress: only one that has stopped is overdue.
void ControlConnection::send_rest(uint64_t now_ms) noexcept {
  while (sent_ < out_.size()) {
    const ssize_t sent =
        send(socket_.get(), out_.data() + sent_, out_.size() - sent_, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent < 0 && errno == EINTR) continue;
    if (sent < 0 && errno == EAGAIN) return;
    if (sent <= 0) return close();
    sent_ += static_cast<size_t>(sent);
    due_ms_ = now_ms + client_timeout_ms;
  }
  out_.clear();
  due_ms_ = never;
}

}  // namespace vtep
