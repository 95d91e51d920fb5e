// binding/poller.h — a descriptor watched by the event loop, which calls a JavaScript function
// when it is readable.
//
// Why:    a doorbell is one wake per batch. The watch never keeps the process alive, and ends by
//         itself when the environment does.
// Thread: the JavaScript thread.
// Owner:  borrows the descriptor until stop(); whoever closes it stops the poller first. stop()
//         may be called from inside the function that it calls, and more than once.
#pragma once

#include <napi.h>
#include <uv.h>

#include <functional>
#include <memory>

namespace vtep {

class Poller {
 public:
  // `heard` runs on each wake, before the function: it takes what made the descriptor readable,
  // and says whether the function is to be called. Throws Napi::Error when the loop refuses the
  // descriptor.
  Poller(Napi::Env env, int fd, std::function<bool()> heard, const Napi::Function& wake);
  ~Poller() { stop(); }
  Poller(const Poller&) = delete;
  Poller& operator=(const Poller&) = delete;

  void stop() noexcept;

 private:
  struct Watch;  // lives until the loop has closed its handle
  Watch* watch_;
};

}  // namespace vtep
