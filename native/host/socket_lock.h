// host/socket_lock.h — the right to serve a socket path, which one process has at a time.
//
// Why:    a socket file says too little: of two servers that start at the same instant, each sees
//         that nobody serves the path, removes what it takes for a left-over, and binds.
// Owner:  the lock file <path>.lock is removed with the lock. The kernel unlocks what a killed
//         process held; the file that it leaves is taken over.
// Limits: waits at most lock_wait_ms for a server that is about to end.
#pragma once

#include <string>

#include "base/fd.h"

namespace vtep {

class SocketLock {
 public:
  // Throws Error: ERR_BUSY when another process serves `path` or is about to, ERR_PERMISSION or
  // ERR_STATE_UNWRITABLE when the lock file cannot be made.
  explicit SocketLock(const std::string& path);
  ~SocketLock();
  SocketLock(const SocketLock&) = delete;
  SocketLock& operator=(const SocketLock&) = delete;

 private:
  std::string file_;
  Fd lock_;
};

}  // namespace vtep
