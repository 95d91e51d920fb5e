// binding/poller.cpp — see poller.h.

#include "binding/poller.h"

#include <string>
#include <utility>

namespace vtep {

struct Poller::Watch {
  uv_poll_t handle;              // first: the loop's view of this
  Napi::Env env;
  std::function<bool()> heard;
  Napi::FunctionReference wake;
  std::shared_ptr<Napi::AsyncContext> context;
  Poller* owner;                 // null once stopped

  explicit Watch(Napi::Env environment) : env(environment), owner(nullptr) {}

  static void on_readable(uv_poll_t* handle, int status, int events) {
    auto* watch = static_cast<Watch*>(handle->data);
    if (watch->owner == nullptr || !watch->heard()) return;
    Napi::HandleScope scope(watch->env);
    // The function may stop us: what its call needs must live until it returns.
    const Napi::Function wake = watch->wake.Value();
    const std::shared_ptr<Napi::AsyncContext> context = watch->context;
    const Napi::Env env = watch->env;
    try {
      wake.MakeCallback(env.Global(), 0, nullptr, *context);
    } catch (const Napi::Error& error) {
      // As for any event handler: 'uncaughtException', and the end of the process unless it is
      // handled.
      napi_fatal_exception(env, error.Value());
    }
  }

  static void on_closed(uv_handle_t* handle) { delete static_cast<Watch*>(handle->data); }

  static void on_environment_end(void* data) {
    auto* watch = static_cast<Watch*>(data);
    if (watch->owner != nullptr) watch->owner->stop();
  }
};

Poller::Poller(Napi::Env env, int fd, std::function<bool()> heard, const Napi::Function& wake)
    : watch_(new Watch(env)) {
  uv_loop_t* loop = nullptr;
  napi_get_uv_event_loop(env, &loop);
  const int refused = loop == nullptr ? UV_EINVAL : uv_poll_init(loop, &watch_->handle, fd);
  if (refused != 0) {
    delete std::exchange(watch_, nullptr);
    throw Napi::Error::New(env, std::string("cannot watch a doorbell: ") + uv_strerror(refused));
  }
  watch_->handle.data = watch_;
  watch_->heard = std::move(heard);
  watch_->wake = Napi::Persistent(wake);
  watch_->context = std::make_shared<Napi::AsyncContext>(env, "vtep.doorbell");
  watch_->owner = this;
  uv_unref(reinterpret_cast<uv_handle_t*>(&watch_->handle));
  uv_poll_start(&watch_->handle, UV_READABLE, Watch::on_readable);
  napi_add_env_cleanup_hook(env, Watch::on_environment_end, watch_);
}

void Poller::stop() noexcept {
  Watch* watch = std::exchange(watch_, nullptr);
  if (watch == nullptr) return;
  napi_remove_env_cleanup_hook(watch->env, Watch::on_environment_end, watch);
  watch->owner = nullptr;
  watch->wake.Reset();
  watch->context.reset();
  uv_poll_stop(&watch->handle);
  uv_close(reinterpret_cast<uv_handle_t*>(&watch->handle), Watch::on_closed);
}

}  // namespace vtep
