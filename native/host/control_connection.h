// host/control_connection.h — one client of the control socket, served without ever waiting for it.
//
// Why:    the control thread also follows the kernel's routing. A client that stops in the middle
//         of a message, or does not read its replies, may hold up nobody but itself.
// Thread: the control thread.
// Limits: one message in, one reply out at a time; no request is read while a reply waits. Each
//         must be through within client_timeout_ms, and so must the first message.
#pragma once

#include <cstdint>
#include <vector>

#include "base/fd.h"
#include "host/socket_io.h"

namespace vtep {

constexpr uint64_t client_timeout_ms = 5000;

class ControlConnection {
 public:
  enum class Got : uint8_t { Nothing, Message, Gone };

  ControlConnection() = default;  // none
  // Takes a connected socket; from now on the client has client_timeout_ms to say something.
  ControlConnection(Fd socket, uint64_t now_ms);

  bool open() const noexcept { return socket_.open(); }
  int fd() const noexcept { return socket_.get(); }
  void close() noexcept;
  // What poll() should look for.
  short events() const noexcept;
  // Milliseconds until the client is overdue; -1: it owes nothing.
  int wait_ms(uint64_t now_ms) const noexcept;

  // Reads what has arrived. Message: message() is whole. Gone: the client went away, or announced
  // too much. Descriptors that a client sends are thrown away.
  Got receive(uint64_t now_ms);
  const Message& message() const noexcept { return message_; }

  // Sends a reply to message(), now or as the client reads it. Closes when the client has gone.
  void reply(uint32_t status, const std::vector<uint8_t>& payload, uint64_t now_ms);
  // A reply with descriptors, which must go at once. False: the client takes nothing.
  bool reply_with(const std::vector<uint8_t>& payload, const std::vector<int>& fds) noexcept;
  // Sends what is left of a reply.
  void send_rest(uint64_t now_ms) noexcept;

 private:
  static constexpr uint64_t never = ~0ull;

  Fd socket_;
  Message message_;
  size_t got_ = 0;            // bytes of header and payload so far
  std::vector<uint8_t> out_;  // of the reply
  size_t sent_ = 0;           // of out_
  uint64_t due_ms_ = never;   // when the client must be done with what it began
};

}  // namespace vtep
