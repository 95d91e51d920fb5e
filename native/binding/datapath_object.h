// binding/datapath_object.h — the JavaScript object of a datapath, in this process or behind the
// control socket.
//
// Why:    src/datapath/native.ts promises one interface for both; here it is, over
//         datapath/control.h. What only a local datapath can do (run a breath, memory ports) is in
//         local_datapath.cpp.
// Thread: the JavaScript thread.
// Owner:  owns the DatapathControl until close(). The `memory` buffer stands on a mapping of its
//         own, which goes when the buffer is collected, so that no order of close() and collection
//         reads freed memory. After close(), rare calls throw ERR_DATAPATH_CLOSED and batches do
//         nothing.
#pragma once

#include <napi.h>

#include <memory>
#include <vector>

#include "base/fd.h"
#include "binding/poller.h"
#include "datapath/control.h"
#include "datapath/datapath.h"
#include "datapath/slow_path_ends.h"

namespace vtep {

class DatapathObject : public Napi::ObjectWrap<DatapathObject> {
 public:
  // The class, with its methods; kept as the environment's instance data.
  static Napi::Function define(Napi::Env env);
  // A new object over `control`; `local` is the same thing, or null for a remote one.
  static Napi::Object make(Napi::Env env, std::unique_ptr<DatapathControl> control,
                           Datapath* local);

  // Called by JavaScript's `new` through make() only.
  explicit DatapathObject(const Napi::CallbackInfo& info);
  ~DatapathObject() override;

 private:
  using Info = Napi::CallbackInfo;

  void adopt(Napi::Env env, std::unique_ptr<DatapathControl> control, Datapath* local);
  DatapathControl& open_control(Napi::Env env) const;
  Datapath& open_local(Napi::Env env, const char* call) const;
  // The rings of the worker that the first argument names; null when closed.
  SlowPathEnds* ends_of(const Info& info, const char* call);
  void close() noexcept;
  static std::vector<Napi::ClassPropertyDescriptor<DatapathObject>> methods();

  Napi::Value get_memory(const Info& info);
  Napi::Value get_worker_count(const Info& info);

  Napi::Value add_port(const Info& info);
  void remove_port(const Info& info);
  Napi::Value list_ports(const Info& info);
  void set_endpoints(const Info& info);
  Napi::Value list_endpoints(const Info& info);
  void set_networks(const Info& info);
  Napi::Value list_networks(const Info& info);
  void set_tunnel(const Info& info);
  void remove_tunnel(const Info& info);
  Napi::Value list_tunnels(const Info& info);
  void set_groups(const Info& info);
  void remove_groups(const Info& info);
  Napi::Value list_groups(const Info& info);
  void set_meter(const Info& info);
  void remove_meter(const Info& info);
  void set_zone(const Info& info);
  void set_capture(const Info& info);

  void give_verdicts(const Info& info);
  Napi::Value command_room(const Info& info);
  void give_commands(const Info& info);
  Napi::Value take_events(const Info& info);
  void free_events(const Info& info);

  void on_doorbell(const Info& info);
  void on_gone(const Info& info);
  void close_call(const Info& info);

  // local_datapath.cpp
  Napi::Value run_once(const Info& info);
  void inject(const Info& info);
  Napi::Value collect(const Info& info);
  void set_next_hop(const Info& info);

  std::unique_ptr<DatapathControl> control_;  // null: closed
  Datapath* local_ = nullptr;                 // control_, when it is in this process
  Napi::Reference<Napi::ArrayBuffer> memory_;
  std::vector<SlowPathEnds> ends_;            // by worker, over our own mapping
  std::unique_ptr<Poller> doorbell_;
  std::unique_ptr<Poller> gone_;
  Fd gone_watch_;                             // an epoll descriptor around the liveness descriptor
};

// The factories of the addon's surface.
Napi::Value create_datapath(const Napi::CallbackInfo& info);
Napi::Value attach_datapath_object(const Napi::CallbackInfo& info);
Napi::Value serve_datapath(const Napi::CallbackInfo& info);
Napi::Value layout_table(const Napi::CallbackInfo& info);

}  // namespace vtep
