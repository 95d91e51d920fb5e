// host/socket_lock.cpp — flock(2) on a file beside the socket.
#include "host/socket_lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "base/error.h"
#include "host/socket_io.h"

namespace vtep {
namespace {

constexpr int lock_wait_ms = 2000;
constexpr int lock_poll_ms = 10;

// Locked: true. Held by another: false.
bool try_lock(const std::string& file, Fd& lock) {
  Fd made(open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!made.open())
    throw Error(errno == EACCES ? "ERR_PERMISSION" : "ERR_STATE_UNWRITABLE",
                "cannot make the lock file " + file, errno);
  if (flock(made.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno == EWOULDBLOCK || errno == EINTR) return false;
    throw Error("ERR_STATE_UNWRITABLE", "cannot lock " + file, errno);
  }
  // Whoever held it before may have removed the file since we opened it.
  struct stat held = {}, named = {};
  if (fstat(made.get(), &held) != 0 || stat(file.c_str(), &named) != 0) return false;
  if (held.st_dev != named.st_dev || held.st_ino != named.st_ino) return false;
  lock = std::move(made);
  return true;
}

}  // namespace

SocketLock::SocketLock(const std::string& path) : file_(path + ".lock") {
  for (int waited = 0; !try_lock(file_, lock_); waited += lock_poll_ms) {
    if (is_served(path)) throw Error("ERR_BUSY", "another datapath already serves " + path);
    if (waited >= lock_wait_ms)
      throw Error("ERR_BUSY", "another datapath holds " + file_ + " without serving " + path +
                                  ": it is starting, ending or stopped");
    usleep(lock_poll_ms * 1000);
  }
}

SocketLock::~SocketLock() { unlink(file_.c_str()); }

}  // namespace vtep
