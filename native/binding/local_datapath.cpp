// binding/local_datapath.cpp — a datapath inside this process: what tests, benches and small
// set-ups use.

#include <cstring>

#include "binding/convert.h"
#include "binding/datapath_object.h"
#include "binding/errors.h"
#include "port/memory.h"

namespace vtep {

namespace {

// Memory ports are found by name; JavaScript knows their numbers.
std::string memory_port_name(Datapath& datapath, uint32_t number) {
  for (const auto& [config, status] : datapath.list_ports())
    if (config.number == number && status.kind == PortKind::Memory) return config.name;
  throw Error("ERR_PORT_NOT_FOUND", "there is no memory port " + std::to_string(number));
}

}  // namespace

Napi::Value create_datapath(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&]() -> Napi::Value {
    auto datapath = std::make_unique<Datapath>(to_datapath_config(info[0], "createDatapath"));
    Datapath* local = datapath.get();
    return DatapathObject::make(info.Env(), std::move(datapath), local);
  });
}

Napi::Value DatapathObject::run_once(const Info& info) {
  return guarded(info.Env(), [&]() -> Napi::Value {
    Datapath& datapath = open_local(info.Env(), "runOnce");
    const uint32_t worker =
        number_argument({info, 0, "runOnce", "worker"}, 0, datapath.worker_count() - 1);
    if (!datapath.manual())
      throw Error("ERR_UNSUPPORTED", "runOnce: the workers of this datapath have threads");
    return Napi::Boolean::New(info.Env(), datapath.run_once(worker));
  });
}

void DatapathObject::inject(const Info& info) {
  guarded(info.Env(), [&] {
    Datapath& datapath = open_local(info.Env(), "inject");
    const uint32_t port = number_argument({info, 0, "inject", "port"}, 1, port_max - 1);
    if (!info[1].IsTypedArray() ||
        info[1].As<Napi::TypedArray>().TypedArrayType() != napi_uint8_array)
      throw Napi::TypeError::New(info.Env(), "inject: frame: expected a Uint8Array");
    const auto frame = info[1].As<Napi::Uint8Array>();
    MemoryPacket packet;
    packet.bytes.assign(frame.Data(), frame.Data() + frame.ByteLength());
    packet.offload = to_offload(info[2], "inject");
    memory_port_inject(memory_port_name(datapath, port), std::move(packet));
  });
}

Napi::Value DatapathObject::collect(const Info& info) {
  return guarded(info.Env(), [&]() -> Napi::Value {
    Datapath& datapath = open_local(info.Env(), "collect");
    const uint32_t port = number_argument({info, 0, "collect", "port"}, 1, port_max - 1);
    const auto packets = memory_port_collect(memory_port_name(datapath, port));
    Napi::Array array = Napi::Array::New(info.Env(), packets.size());
    for (uint32_t i = 0; i < packets.size(); i++) {
      const MemoryPacket& packet = packets[i];
      Napi::Uint8Array frame = Napi::Uint8Array::New(info.Env(), packet.bytes.size());
      memcpy(frame.Data(), packet.bytes.data(), packet.bytes.size());
      Napi::Object object = Napi::Object::New(info.Env());
      object.Set("frame", frame);
      object.Set("offload", from_offload(info.Env(), packet.offload));
      array.Set(i, object);
    }
    return array;
  });
}

// A local datapath has no next-hop resolver: whoever hosts it says where tunnels leave.
void DatapathObject::set_next_hop(const Info& info) {
  guarded(info.Env(), [&] {
    Datapath& datapath = open_local(info.Env(), "setNextHop");
    const uint32_t tunnel = number_argument({info, 0, "setNextHop", "tunnel"}, 1, tunnel_max - 1);
    if (info[1].IsNull()) {
      const std::string why = info[2].IsUndefined()
                                  ? "no next hop was given"
                                  : text_argument({info, 2, "setNextHop", "why"});
      return datapath.set_next_hop(tunnel, nullptr, why.c_str());
    }
    const NextHop hop = to_next_hop(info[1], "setNextHop");
    datapath.set_next_hop(tunnel, &hop, "");
  });
}

}  // namespace vtep
