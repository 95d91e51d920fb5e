// binding/remote_datapath.cpp — both ends of the control socket: attach to a datapath process, or
// be one.

#include <memory>

#include "binding/convert.h"
#include "binding/datapath_object.h"
#include "binding/errors.h"
#include "host/crash_report.h"
#include "host/datapath_client.h"
#include "host/datapath_server.h"

namespace vtep {

Napi::Value attach_datapath_object(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&]() -> Napi::Value {
    const std::string path = text_argument({info, 0, "attachDatapath", "socketPath"});
    return DatapathObject::make(info.Env(), attach_datapath(path), nullptr);
  });
}

Napi::Value serve_datapath(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&]() -> Napi::Value {
    const std::string path = text_argument({info, 0, "serveDatapath", "socketPath"});
    const DatapathConfig config = to_datapath_config(info[1], "serveDatapath");
    const Napi::Function stopped = function_argument({info, 2, "serveDatapath", "stopped"});
    install_crash_report();
    auto server = std::make_shared<std::unique_ptr<DatapathServer>>(
        std::make_unique<DatapathServer>(path, config));
    auto told = std::make_shared<Napi::FunctionReference>(Napi::Persistent(stopped));
    Napi::Object object = Napi::Object::New(info.Env());
    object.Set("stop", Napi::Function::New(info.Env(), [server, told](const Napi::CallbackInfo&) {
      if (*server == nullptr) return;
      server->reset();  // returns when threads, ports and the socket file are gone
      told->Call({});
    }));
    return object;
  });
}

}  // namespace vtep
