// binding/convert.h — plain JavaScript objects to the structs of the rare calls, and back.
//
// Why:    src/datapath/native.ts describes the objects, datapath_types.h and port.h the structs;
//         this is the only place that knows both. A wrong field throws a TypeError that names
//         call, field, what was expected and what came, as in "addPort: number: expected a whole
//         number from 1 to 1023, got -1".
// Thread: the JavaScript thread.
#pragma once

#include <napi.h>

#include <string>
#include <vector>

#include "datapath/datapath_types.h"

namespace vtep {

DatapathConfig to_datapath_config(const Napi::Value& value, const char* call);
PortConfig to_port_config(const Napi::Value& value, const char* call);
Napi::Object from_port_status(Napi::Env env, const PortStatus& status);
Napi::Object from_port(Napi::Env env, const PortConfig& config, const PortStatus& status);
TunnelConfig to_tunnel(const Napi::Value& value, const char* call);
Napi::Object from_tunnel(Napi::Env env, const TunnelStatus& status);
NextHop to_next_hop(const Napi::Value& value, const char* call);
std::vector<GroupConfig> to_groups(const Napi::Value& value, const char* call);
Napi::Object from_group(Napi::Env env, const GroupConfig& group);
MeterConfig to_meter(const Napi::Value& value, const char* call);
std::vector<NetworkConfig> to_networks(const Napi::Value& value, const char* call);
Napi::Object from_network(Napi::Env env, const NetworkConfig& network);
std::vector<TunnelEndpoints::Endpoint> to_endpoints(const Napi::Value& value, const char* call);
Napi::Object from_endpoint(Napi::Env env, const TunnelEndpoints::Endpoint& endpoint);
Offload to_offload(const Napi::Value& value, const char* call);
Napi::Object from_offload(Napi::Env env, const Offload& offload);

// Arguments of the calls themselves.
struct Argument {
  const Napi::CallbackInfo& info;
  uint32_t index;
  const char* call;
  const char* name;
};
// Whole numbers from `least` to `most`.
std::vector<uint32_t> to_numbers(const Napi::Value& value, const char* call, uint32_t least,
                                 uint32_t most);
uint32_t number_argument(const Argument& argument, uint32_t least, uint32_t most);
bool boolean_argument(const Argument& argument);
std::string text_argument(const Argument& argument);
Napi::Function function_argument(const Argument& argument);

}  // namespace vtep
