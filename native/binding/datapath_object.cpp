// binding/datapath_object.cpp — life of the object, its memory, and who is called when something
// waits.

#include "binding/datapath_object.h"

#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include <cerrno>
#include <utility>

#include "binding/convert.h"
#include "binding/errors.h"
#include "datapath/region.h"

namespace vtep {

namespace {

// A second mapping of the same shared pages: mremap(2) with an old size of zero makes one.
uint8_t* map_again(uint8_t* memory, uint64_t bytes) {
  void* again = mremap(memory, 0, bytes, MREMAP_MAYMOVE);
  if (again == MAP_FAILED)
    throw Error("ERR_LIMIT", "cannot map the datapath's shared memory", errno);
  return static_cast<uint8_t*>(again);
}

void check_region(const DatapathControl& control) {
  const RegionView region(control.memory());
  const RegionHeader& header = region.header();
  if (header.magic != layout_magic || header.version != layout_version ||
      header.bytes != control.memory_bytes() || header.worker_count > worker_max)
    throw Error("ERR_PROTOCOL",
                "the datapath's shared memory has another layout than this build's");
}

// Whether the other end of a liveness descriptor has gone. What it may have sent is left alone.
bool peer_gone(int fd) noexcept {
  char byte;
  const ssize_t got = recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
  return got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR);
}

}  // namespace

Napi::Function DatapathObject::define(Napi::Env env) {
  const Napi::Function constructor = DefineClass(env, "NativeDatapath", methods());
  env.SetInstanceData(new Napi::FunctionReference(Napi::Persistent(constructor)));
  return constructor;
}

Napi::Object DatapathObject::make(Napi::Env env, std::unique_ptr<DatapathControl> control,
                                  Datapath* local) {
  auto* constructor = env.GetInstanceData<Napi::FunctionReference>();
  const Napi::Object object = constructor->New({});
  Unwrap(object)->adopt(env, std::move(control), local);
  return object;
}

DatapathObject::DatapathObject(const Napi::CallbackInfo& info)
    : Napi::ObjectWrap<DatapathObject>(info) {}

DatapathObject::~DatapathObject() { close(); }

void DatapathObject::adopt(Napi::Env env, std::unique_ptr<DatapathControl> control,
                           Datapath* local) {
  check_region(*control);
  const uint64_t bytes = control->memory_bytes();
  uint8_t* memory = map_again(control->memory(), bytes);
  const Napi::ArrayBuffer buffer = Napi::ArrayBuffer::New(
      env, memory, bytes,
      [](Napi::Env, void* mapped, size_t* size) {
        munmap(mapped, *size);
        delete size;
      },
      new size_t(bytes));
  memory_ = Napi::Persistent(buffer);
  const RegionView region(memory);
  for (uint32_t worker = 0; worker < region.header().worker_count; worker++)
    ends_.emplace_back(region, worker, control->worker_doorbell(worker));
  control_ = std::move(control);
  local_ = local;
}

DatapathControl& DatapathObject::open_control(Napi::Env env) const {
  if (control_ == nullptr) throw coded_error(env, "ERR_DATAPATH_CLOSED", "the datapath is closed");
  return *control_;
}

Datapath& DatapathObject::open_local(Napi::Env env, const char* call) const {
  open_control(env);
  if (local_ == nullptr)
    throw coded_error(env, "ERR_UNSUPPORTED",
                      std::string(call) + ": the datapath is in another process");
  return *local_;
}

SlowPathEnds* DatapathObject::ends_of(const Info& info, const char* call) {
  const uint32_t worker = number_argument({info, 0, call, "worker"}, 0,
                                          static_cast<uint32_t>(ends_.size()) - 1);
  return control_ == nullptr ? nullptr : &ends_[worker];
}

// Stops what calls JavaScript, then the datapath. The memory stays until its buffer is collected.
void DatapathObject::close() noexcept {
  doorbell_.reset();
  gone_.reset();
  gone_watch_.close();
  local_ = nullptr;
  control_.reset();
}

void DatapathObject::close_call(const Info& info) { close(); }

Napi::Value DatapathObject::get_memory(const Info& info) { return memory_.Value(); }

Napi::Value DatapathObject::get_worker_count(const Info& info) {
  return Napi::Number::New(info.Env(), static_cast<double>(ends_.size()));
}

void DatapathObject::on_doorbell(const Info& info) {
  const Napi::Function wake = function_argument({info, 0, "onDoorbell", "wake"});
  const int fd = open_control(info.Env()).slow_path_doorbell();
  doorbell_.reset();  // one watch per descriptor and loop
  doorbell_ = std::make_unique<Poller>(
      info.Env(), fd,
      [fd] {
        silence_doorbell(fd);
        return true;
      },
      wake);
}

void DatapathObject::on_gone(const Info& info) {
  const Napi::Function gone = function_argument({info, 0, "onGone", "gone"});
  const int fd = open_control(info.Env()).liveness_fd();
  gone_.reset();
  gone_watch_.close();
  if (fd < 0) return;  // a datapath in this process goes with it
  // The event loop would make the control socket non-blocking; an epoll around it leaves it alone.
  // Only the end of the peer counts, not its replies.
  gone_watch_ = Fd(epoll_create1(EPOLL_CLOEXEC));
  epoll_event event{};
  event.events = EPOLLRDHUP;
  if (!gone_watch_.open() || epoll_ctl(gone_watch_.get(), EPOLL_CTL_ADD, fd, &event) != 0)
    throw coded_error(info.Env(), "ERR_LIMIT", "cannot watch the datapath's control socket");
  gone_ = std::make_unique<Poller>(
      info.Env(), gone_watch_.get(),
      [this, fd] {
        if (!peer_gone(fd)) return false;
        epoll_ctl(gone_watch_.get(), EPOLL_CTL_DEL, fd, nullptr);  // told once
        return true;
      },
      gone);
}

}  // namespace vtep
