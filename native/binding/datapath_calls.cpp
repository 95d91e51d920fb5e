// binding/datapath_calls.cpp — the methods: each reads its arguments, makes one call, writes the
// result.

#include "binding/convert.h"
#include "binding/datapath_object.h"
#include "binding/errors.h"

namespace vtep {

namespace {

// An array of what `convert` makes of each element.
template <typename List, typename Convert>
Napi::Array to_array(Napi::Env env, const List& list, Convert&& convert) {
  Napi::Array array = Napi::Array::New(env, list.size());
  uint32_t index = 0;
  for (const auto& element : list) array.Set(index++, convert(element));
  return array;
}

Napi::Value bytes_value(Napi::Env env, uint32_t bytes) { return Napi::Number::New(env, bytes); }

}  // namespace

std::vector<Napi::ClassPropertyDescriptor<DatapathObject>> DatapathObject::methods() {
  using Self = DatapathObject;
  return {
      InstanceAccessor<&Self::get_memory>("memory"),
      InstanceAccessor<&Self::get_worker_count>("workerCount"),
      InstanceMethod<&Self::add_port>("addPort"),
      InstanceMethod<&Self::remove_port>("removePort"),
      InstanceMethod<&Self::list_ports>("listPorts"),
      InstanceMethod<&Self::set_endpoints>("setEndpoints"),
      InstanceMethod<&Self::list_endpoints>("listEndpoints"),
      InstanceMethod<&Self::set_networks>("setNetworks"),
      InstanceMethod<&Self::list_networks>("listNetworks"),
      InstanceMethod<&Self::set_tunnel>("setTunnel"),
      InstanceMethod<&Self::remove_tunnel>("removeTunnel"),
      InstanceMethod<&Self::list_tunnels>("listTunnels"),
      InstanceMethod<&Self::set_groups>("setGroups"),
      InstanceMethod<&Self::remove_groups>("removeGroups"),
      InstanceMethod<&Self::list_groups>("listGroups"),
      InstanceMethod<&Self::set_meter>("setMeter"),
      InstanceMethod<&Self::remove_meter>("removeMeter"),
      InstanceMethod<&Self::set_zone>("setZone"),
      InstanceMethod<&Self::set_capture>("setCapture"),
      InstanceMethod<&Self::give_verdicts>("giveVerdicts"),
      InstanceMethod<&Self::command_room>("commandRoom"),
      InstanceMethod<&Self::give_commands>("giveCommands"),
      InstanceMethod<&Self::take_events>("takeEvents"),
      InstanceMethod<&Self::free_events>("freeEvents"),
      InstanceMethod<&Self::on_doorbell>("onDoorbell"),
      InstanceMethod<&Self::on_gone>("onGone"),
      InstanceMethod<&Self::close_call>("close"),
      InstanceMethod<&Self::run_once>("runOnce"),
      InstanceMethod<&Self::inject>("inject"),
      InstanceMethod<&Self::collect>("collect"),
      InstanceMethod<&Self::set_next_hop>("setNextHop"),
  };
}

// Ports.

Napi::Value DatapathObject::add_port(const Info& info) {
  return guarded(info.Env(), [&]() -> Napi::Value {
    const PortConfig config = to_port_config(info[0], "addPort");
    return from_port_status(info.Env(), open_control(info.Env()).add_port(config));
  });
}

void DatapathObject::remove_port(const Info& info) {
  guarded(info.Env(), [&] {
    const uint32_t number = number_argument({info, 0, "removePort", "number"}, 1, port_max - 1);
    open_control(info.Env()).remove_port(number);
  });
}

Napi::Value DatapathObject::list_ports(const Info& info) {
  return guarded(info.Env(), [&]() -> Napi::Value {
    return to_array(info.Env(), open_control(info.Env()).list_ports(), [&](const auto& port) {
      return from_port(info.Env(), port.first, port.second);
    });
  });
}

// Tables.

void DatapathObject::set_endpoints(const Info& info) {
  guarded(info.Env(), [&] {
    const auto endpoints = to_endpoints(info[0], "setEndpoints");
    open_control(info.Env()).set_endpoints(endpoints);
  });
}

Napi::Value DatapathObject::list_endpoints(const Info& info) {
  return guarded(info.Env(), [&]() -> Napi::Value {
    return to_array(info.Env(), open_control(info.Env()).list_endpoints(),
                    [&](const auto& endpoint) { return from_endpoint(info.Env(), endpoint); });
  });
}

void DatapathObject::set_networks(const Info& info) {
  guarded(info.Env(), [&] {
    const auto networks = to_networks(info[0], "setNetworks");
    open_control(info.Env()).set_networks(networks);
  });
}

Napi::Value DatapathObject::list_networks(const Info& info) {
  return guarded(info.Env(), [&]() -> Napi::Value {
    return to_array(info.Env(), open_control(info.Env()).list_networks(),
                    [&](const auto& network) { return from_network(info.Env(), network); });
  });
}

void DatapathObject::set_tunnel(const Info& info) {
  guarded(info.Env(), [&] {
    const TunnelConfig config = to_tunnel(info[0], "setTunnel");
    open_control(info.Env()).set_tunnel(config);
  });
}

void DatapathObject::remove_tunnel(const Info& info) {
  guarded(info.Env(), [&] {
    const uint32_t number = number_argument({info, 0, "removeTunnel", "number"}, 1, tunnel_max - 1);
    open_control(info.Env()).remove_tunnel(number);
  });
}

Napi::Value DatapathObject::list_tunnels(const Info& info) {
  return guarded(info.Env(), [&]() -> Napi::Value {
    return to_array(info.Env(), open_control(info.Env()).list_tunnels(),
                    [&](const auto& tunnel) { return from_tunnel(info.Env(), tunnel); });
  });
}

void DatapathObject::set_groups(const Info& info) {
  guarded(info.Env(), [&] {
    const auto groups = to_groups(info[0], "setGroups");
    open_control(info.Env()).set_groups(groups);
  });
}

void DatapathObject::remove_groups(const Info& info) {
  guarded(info.Env(), [&] {
    const auto numbers = to_numbers(info[0], "removeGroups", 1, group_max - 1);
    open_control(info.Env()).remove_groups(numbers);
  });
}

Napi::Value DatapathObject::list_groups(const Info& info) {
  return guarded(info.Env(), [&]() -> Napi::Value {
    return to_array(info.Env(), open_control(info.Env()).list_groups(),
                    [&](const auto& group) { return from_group(info.Env(), group); });
  });
}

void DatapathObject::set_meter(const Info& info) {
  guarded(info.Env(), [&] {
    const uint32_t number = number_argument({info, 0, "setMeter", "number"}, 1, meter_max - 1);
    const MeterConfig meter = to_meter(info[1], "setMeter");
    open_control(info.Env()).set_meter(number, meter);
  });
}

void DatapathObject::remove_meter(const Info& info) {
  guarded(info.Env(), [&] {
    const uint32_t number = number_argument({info, 0, "removeMeter", "number"}, 1, meter_max - 1);
    open_control(info.Env()).remove_meter(number);
  });
}

void DatapathObject::set_zone(const Info& info) {
  guarded(info.Env(), [&] {
    const uint32_t port = number_argument({info, 0, "setZone", "port"}, 0, port_max - 1);
    const uint32_t vni = number_argument({info, 1, "setZone", "vni"}, 0, (1u << 24) - 1);
    const uint32_t zone = number_argument({info, 2, "setZone", "zone"}, 0, 65535);
    const uint32_t vlan = number_argument({info, 3, "setZone", "vlan"}, 0, 4095);
    open_control(info.Env())
        .set_zone(port, vni, static_cast<uint16_t>(zone), static_cast<uint16_t>(vlan));
  });
}

void DatapathObject::set_capture(const Info& info) {
  guarded(info.Env(), [&] {
    const uint32_t port = number_argument({info, 0, "setCapture", "port"}, 0, port_max - 1);
    const bool on = boolean_argument({info, 1, "setCapture", "on"});
    open_control(info.Env()).set_capture(port, on);
  });
}

// Batches. A closed datapath has nothing waiting and takes nothing.

void DatapathObject::give_verdicts(const Info& info) {
  SlowPathEnds* ends = ends_of(info, "giveVerdicts");
  const uint32_t bytes = number_argument({info, 1, "giveVerdicts", "bytes"}, 0, 1u << 30);
  if (ends != nullptr) ends->give_verdicts(bytes);
}

Napi::Value DatapathObject::command_room(const Info& info) {
  const SlowPathEnds* ends = ends_of(info, "commandRoom");
  return bytes_value(info.Env(), ends == nullptr ? 0 : ends->command_room());
}

void DatapathObject::give_commands(const Info& info) {
  SlowPathEnds* ends = ends_of(info, "giveCommands");
  const uint32_t bytes = number_argument({info, 1, "giveCommands", "bytes"}, 0, 1u << 30);
  if (ends != nullptr) ends->give_commands(bytes);
}

Napi::Value DatapathObject::take_events(const Info& info) {
  const SlowPathEnds* ends = ends_of(info, "takeEvents");
  return bytes_value(info.Env(), ends == nullptr ? 0 : ends->take_events());
}

void DatapathObject::free_events(const Info& info) {
  SlowPathEnds* ends = ends_of(info, "freeEvents");
  const uint32_t bytes = number_argument({info, 1, "freeEvents", "bytes"}, 0, 1u << 30);
  if (ends != nullptr) ends->free_events(bytes);
}

}  // namespace vtep
