// binding/convert.cpp — see convert.h.

#include "binding/convert.h"

#include "binding/fields.h"
#include "host/netlink.h"

namespace vtep {

namespace {

constexpr Choice tcp_pick_ups[] = {
    {"always", static_cast<uint32_t>(TcpPickUp::Always)},
    {"after_start", static_cast<uint32_t>(TcpPickUp::AfterStart)},
    {"never", static_cast<uint32_t>(TcpPickUp::Never)},
};
constexpr Choice port_kinds[] = {
    {"auto", static_cast<uint32_t>(PortKind::Auto)},
    {"af_packet", static_cast<uint32_t>(PortKind::AfPacket)},
    {"af_xdp", static_cast<uint32_t>(PortKind::AfXdp)},
    {"af_xdp_native", static_cast<uint32_t>(PortKind::AfXdpNative)},
    {"af_xdp_generic", static_cast<uint32_t>(PortKind::AfXdpGeneric)},
    {"tap", static_cast<uint32_t>(PortKind::Tap)},
    {"pcap", static_cast<uint32_t>(PortKind::Pcap)},
    {"memory", static_cast<uint32_t>(PortKind::Memory)},
};
constexpr Choice encaps[] = {
    {"vxlan", static_cast<uint32_t>(Encap::Vxlan)},
    {"geneve", static_cast<uint32_t>(Encap::Geneve)},
};
constexpr Choice member_kinds[] = {
    {"port", static_cast<uint32_t>(GroupMember::Kind::Port)},
    {"tunnel", static_cast<uint32_t>(GroupMember::Kind::Tunnel)},
};
constexpr uint32_t udp_port_max = 65535;
constexpr uint32_t mtu_max = 65535;
constexpr uint32_t vlan_max = 4094;

const char* name_of(std::span<const Choice> choices, uint32_t value) {
  for (const Choice& choice : choices)
    if (choice.value == value) return choice.name;
  return "unknown";
}

// Every element of an array, with its index in the path.
template <typename Each>
void for_each_value(const Napi::Value& value, const std::string& path, Each&& each) {
  if (!value.IsArray()) refuse_value(value, path, "an array");
  const auto array = value.As<Napi::Array>();
  for (uint32_t i = 0; i < array.Length(); i++)
    each(array.Get(i), path + "[" + std::to_string(i) + "]");
}

// The same for an array of objects.
template <typename Each>
void for_each(const Napi::Value& value, const std::string& path, Each&& each) {
  for_each_value(value, path, [&](const Napi::Value& element, std::string&& where) {
    each(Fields(element, std::move(where)));
  });
}

uint32_t to_number(const Napi::Value& value, const std::string& path, uint32_t least,
                   uint32_t most) {
  double number = 0;
  if (!whole_number(value, least, most, number))
    refuse_value(value, path,
                 "a whole number from " + std::to_string(least) + " to " + std::to_string(most));
  return static_cast<uint32_t>(number);
}

void put_port_config(Napi::Object& object, const PortConfig& config) {
  object.Set("number", config.number);
  object.Set("name", config.name);
  object.Set("kind", name_of(port_kinds, static_cast<uint32_t>(config.kind)));
  object.Set("device", config.device);
  object.Set("uplink", (config.flags & port_flag_uplink) != 0);
  object.Set("mtu", config.mtu);
  object.Set("rxPath", config.rx_path);
  object.Set("txPath", config.tx_path);
  object.Set("loop", (config.flags & port_flag_loop) != 0);
  object.Set("vxlanPort", static_cast<uint32_t>(config.vxlan_port));
  object.Set("genevePort", static_cast<uint32_t>(config.geneve_port));
}

}  // namespace

DatapathConfig to_datapath_config(const Napi::Value& value, const char* call) {
  const Fields fields(value, call);
  DatapathConfig config;
  constexpr uint32_t most = UINT32_MAX;
  config.worker_count = fields.number_or("workers", config.worker_count, 1, worker_max);
  config.flow_max = fields.number_or("flowMax", config.flow_max, 2, most);
  config.exact_max = fields.number_or("exactMax", config.exact_max, 1, most);
  config.connection_max = fields.number_or("connectionMax", config.connection_max, 1, most);
  const auto pick_up = static_cast<uint32_t>(config.tcp_pick_up);
  config.tcp_pick_up =
      static_cast<TcpPickUp>(fields.choice_or("tcpPickUp", pick_up, tcp_pick_ups));
  config.small_frames = fields.number_or("smallFrames", config.small_frames, 1, most);
  config.large_frames = fields.number_or("largeFrames", config.large_frames, 1, most);
  config.spin_us = fields.number_or("spinUs", config.spin_us, 0, 1000000);
  config.upcall_ring_bytes = fields.number_or("upcallRingBytes", config.upcall_ring_bytes, 1, most);
  config.manual = fields.boolean_or("manual", false) ? 1 : 0;
  return config;
}

PortConfig to_port_config(const Napi::Value& value, const char* call) {
  const Fields fields(value, call);
  PortConfig config;
  config.number = fields.number("number", 1, port_max - 1);
  config.kind = static_cast<PortKind>(fields.choice("kind", port_kinds));
  config.flags |= fields.boolean_or("uplink", false) ? port_flag_uplink : 0;
  config.flags |= fields.boolean_or("loop", false) ? port_flag_loop : 0;
  config.mtu = fields.number_or("mtu", 0, 0, mtu_max);
  config.vxlan_port =
      static_cast<uint16_t>(fields.number_or("vxlanPort", config.vxlan_port, 0, udp_port_max));
  config.geneve_port =
      static_cast<uint16_t>(fields.number_or("genevePort", config.geneve_port, 0, udp_port_max));
  fields.text("name", config.name, true);
  fields.text("device", config.device, false);
  fields.text("rxPath", config.rx_path, false);
  fields.text("txPath", config.tx_path, false);
  return config;
}

Napi::Object from_port_status(Napi::Env env, const PortStatus& status) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("kind", name_of(port_kinds, static_cast<uint32_t>(status.kind)));
  object.Set("mode", status.mode);
  object.Set("why", status.why);
  object.Set("ifindex", status.ifindex);
  object.Set("mtu", status.mtu);
  object.Set("linkUp", status.link_up != 0);
  object.Set("mac", mac_text(status.mac));
  return object;
}

Napi::Object from_port(Napi::Env env, const PortConfig& config, const PortStatus& status) {
  Napi::Object object = Napi::Object::New(env);
  put_port_config(object, config);
  object.Set("status", from_port_status(env, status));
  return object;
}

TunnelConfig to_tunnel(const Napi::Value& value, const char* call) {
  const Fields fields(value, call);
  TunnelConfig config;
  config.number = fields.number("number", 1, tunnel_max - 1);
  config.encap = static_cast<Encap>(fields.choice("encap", encaps));
  config.local = fields.address("local");
  config.remote = fields.address("remote");
  config.udp_port = static_cast<uint16_t>(fields.number("udpPort", 1, udp_port_max));
  config.ttl = static_cast<uint8_t>(fields.number_or("ttl", config.ttl, 1, 255));
  config.dscp_inherit = fields.boolean_or("dscpInherit", config.dscp_inherit != 0) ? 1 : 0;
  config.dont_fragment = fields.boolean_or("dontFragment", config.dont_fragment != 0) ? 1 : 0;
  config.udp_checksum = fields.boolean_or("udpChecksum", config.udp_checksum != 0) ? 1 : 0;
  return config;
}

Napi::Object from_tunnel(Napi::Env env, const TunnelStatus& status) {
  const TunnelConfig& config = status.config;
  Napi::Object object = Napi::Object::New(env);
  object.Set("number", config.number);
  object.Set("encap", name_of(encaps, static_cast<uint32_t>(config.encap)));
  object.Set("local", address_text(config.local));
  object.Set("remote", address_text(config.remote));
  object.Set("udpPort", static_cast<uint32_t>(config.udp_port));
  object.Set("ttl", static_cast<uint32_t>(config.ttl));
  object.Set("dscpInherit", config.dscp_inherit != 0);
  object.Set("dontFragment", config.dont_fragment != 0);
  object.Set("udpChecksum", config.udp_checksum != 0);
  object.Set("resolved", status.resolved != 0);
  object.Set("why", status.why);
  object.Set("uplinkPort", status.hop.uplink_port);
  object.Set("sourceMac", mac_text(status.hop.source_mac));
  object.Set("targetMac", mac_text(status.hop.target_mac));
  object.Set("mtu", status.hop.mtu);
  return object;
}

NextHop to_next_hop(const Napi::Value& value, const char* call) {
  const Fields fields(value, call);
  NextHop hop;
  hop.uplink_port = fields.number("uplinkPort", 1, port_max - 1);
  hop.source_mac = fields.mac("sourceMac");
  hop.target_mac = fields.mac("targetMac");
  hop.mtu = fields.number("mtu", 0, mtu_max);
  hop.vlan_vid = static_cast<uint16_t>(fields.number_or("vlan", 0, 0, vlan_max));
  return hop;
}

std::vector<GroupConfig> to_groups(const Napi::Value& value, const char* call) {
  std::vector<GroupConfig> groups;
  for_each(value, call, [&](const Fields& fields) {
    GroupConfig& group = groups.emplace_back();
    group.number = fields.number("number", 1, group_max - 1);
    for_each(fields.value("members"), fields.path() + ": members", [&](const Fields& member) {
      GroupMember& added = group.members.emplace_back();
      added.kind = static_cast<GroupMember::Kind>(member.choice("kind", member_kinds));
      const bool port = added.kind == GroupMember::Kind::Port;
      added.number = member.number("number", 1, (port ? port_max : tunnel_max) - 1);
      added.vlan_vid = static_cast<uint16_t>(member.number_or("vlan", 0, 0, vlan_max));
      added.meter = static_cast<uint16_t>(member.number_or("meter", 0, 0, meter_max - 1));
    });
  });
  return groups;
}

std::vector<uint32_t> to_numbers(const Napi::Value& value, const char* call, uint32_t least,
                                 uint32_t most) {
  std::vector<uint32_t> numbers;
  for_each_value(value, call, [&](const Napi::Value& element, const std::string& path) {
    numbers.push_back(to_number(element, path, least, most));
  });
  return numbers;
}

Napi::Object from_group(Napi::Env env, const GroupConfig& group) {
  Napi::Object object = Napi::Object::New(env);
  Napi::Array members = Napi::Array::New(env, group.members.size());
  for (uint32_t i = 0; i < group.members.size(); i++) {
    Napi::Object member = Napi::Object::New(env);
    member.Set("kind", name_of(member_kinds, static_cast<uint32_t>(group.members[i].kind)));
    member.Set("number", group.members[i].number);
    member.Set("vlan", static_cast<uint32_t>(group.members[i].vlan_vid));
    member.Set("meter", static_cast<uint32_t>(group.members[i].meter));
    members.Set(i, member);
  }
  object.Set("number", group.number);
  object.Set("members", members);
  return object;
}

MeterConfig to_meter(const Napi::Value& value, const char* call) {
  const Fields fields(value, call);
  MeterConfig meter;
  meter.rate = fields.large_number("rate");
  meter.burst = fields.large_number("burst");
  meter.packets = fields.boolean_or("packets", false);
  return meter;
}

std::vector<NetworkConfig> to_networks(const Napi::Value& value, const char* call) {
  std::vector<NetworkConfig> networks;
  for_each(value, call, [&](const Fields& fields) {
    networks.push_back({fields.number("vni", 0, (1u << 24) - 1), fields.choice("encap", encaps)});
  });
  return networks;
}

Napi::Object from_network(Napi::Env env, const NetworkConfig& network) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("vni", network.vni);
  object.Set("encap", name_of(encaps, network.encap));
  return object;
}

std::vector<TunnelEndpoints::Endpoint> to_endpoints(const Napi::Value& value, const char* call) {
  std::vector<TunnelEndpoints::Endpoint> endpoints;
  for_each(value, call, [&](const Fields& fields) {
    endpoints.push_back(
        {fields.address("address"),
         be16(static_cast<uint16_t>(fields.number("vxlanPort", 0, udp_port_max))),
         be16(static_cast<uint16_t>(fields.number("genevePort", 0, udp_port_max)))});
  });
  return endpoints;
}

Napi::Object from_endpoint(Napi::Env env, const TunnelEndpoints::Endpoint& endpoint) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("address", address_text(endpoint.address));
  object.Set("vxlanPort", static_cast<uint32_t>(endpoint.vxlan_port.host()));
  object.Set("genevePort", static_cast<uint32_t>(endpoint.geneve_port.host()));
  return object;
}

Offload to_offload(const Napi::Value& value, const char* call) {
  Offload offload;
  if (value.IsUndefined()) return offload;
  const Fields fields(value, std::string(call) + ": offload");
  if (fields.boolean_or("needsChecksum", false)) offload.flags |= offload_needs_checksum;
  if (fields.boolean_or("dataValid", false)) offload.flags |= offload_data_valid;
  offload.checksum_start = static_cast<uint16_t>(fields.number_or("checksumStart", 0, 0, 65535));
  offload.checksum_offset = static_cast<uint16_t>(fields.number_or("checksumOffset", 0, 0, 65535));
  offload.gso_size = static_cast<uint16_t>(fields.number_or("gsoSize", 0, 0, 65535));
  const uint32_t type = fields.number_or("gsoType", 0, 0, 5);
  if (type == 2 || type == 3) fields.refuse("gsoType", "0, 1, 4 or 5");
  offload.gso_type = static_cast<GsoType>(type);
  return offload;
}

Napi::Object from_offload(Napi::Env env, const Offload& offload) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("needsChecksum", (offload.flags & offload_needs_checksum) != 0);
  object.Set("dataValid", (offload.flags & offload_data_valid) != 0);
  object.Set("checksumStart", static_cast<uint32_t>(offload.checksum_start));
  object.Set("checksumOffset", static_cast<uint32_t>(offload.checksum_offset));
  object.Set("gsoType", static_cast<uint32_t>(offload.gso_type));
  object.Set("gsoSize", static_cast<uint32_t>(offload.gso_size));
  return object;
}

uint32_t number_argument(const Argument& argument, uint32_t least, uint32_t most) {
  const std::string path = std::string(argument.call) + ": " + argument.name;
  return to_number(argument.info[argument.index], path, least, most);
}

bool boolean_argument(const Argument& argument) {
  const Napi::Value value = argument.info[argument.index];
  if (!value.IsBoolean())
    refuse_value(value, std::string(argument.call) + ": " + argument.name, "true or false");
  return value.As<Napi::Boolean>().Value();
}

std::string text_argument(const Argument& argument) {
  const Napi::Value value = argument.info[argument.index];
  if (!value.IsString())
    refuse_value(value, std::string(argument.call) + ": " + argument.name, "text");
  return value.As<Napi::String>().Utf8Value();
}

Napi::Function function_argument(const Argument& argument) {
  const Napi::Value value = argument.info[argument.index];
  if (!value.IsFunction())
    refuse_value(value, std::string(argument.call) + ": " + argument.name, "a function");
  return value.As<Napi::Function>();
}

}  // namespace vtep
