// datapath/datapath_tables.cpp — endpoints, networks, tunnels, groups and meters: what workers
// look up.
//
// Every call builds the new entry whole, publishes its pointer and retires the old one (grace.h).
// Flows name entries by number, so none of them is touched.

#include <cstdio>
#include <cstring>

#include "datapath/datapath_state.h"

namespace vtep {

namespace {

void check_number(const char* what, uint32_t number, uint32_t limit) {
  if (number != 0 && number < limit) return;
  throw Error("ERR_LIMIT", std::string(what) + " " + std::to_string(number) +
                               " is not between 1 and " + std::to_string(limit - 1));
}

[[noreturn]] void not_found(const char* what, uint32_t number) {
  throw Error("ERR_NOT_FOUND",
              std::string(what) + " " + std::to_string(number) + " does not exist");
}

// These structs come over a socket: what decides how many bytes are written is checked here.
void check_encap(const char* what, uint32_t number, uint32_t encap) {
  if (encap == static_cast<uint32_t>(Encap::Vxlan)) return;
  if (encap == static_cast<uint32_t>(Encap::Geneve)) return;
  throw Error("ERR_LIMIT",
              std::string(what) + " " + std::to_string(number) + " has an unknown encapsulation");
}

void check_member(const GroupMember& member) {
  const bool port = member.kind == GroupMember::Kind::Port;
  if (!port && member.kind != GroupMember::Kind::Tunnel)
    throw Error("ERR_LIMIT", "a group member is neither a port nor a tunnel");
  check_number(port ? "port" : "tunnel", member.number, port ? port_max : tunnel_max);
  if (member.vlan_vid >= 4095)
    throw Error("ERR_LIMIT", "VLAN " + std::to_string(member.vlan_vid) + " is above 4094");
  if (member.meter != 0) check_number("meter", member.meter, meter_max);
}

void check_group(const GroupConfig& group) {
  check_number("group", group.number, group_max);
  if (group.members.size() > group_member_max)
    throw Error("ERR_LIMIT", "group " + std::to_string(group.number) + " has " +
                                 std::to_string(group.members.size()) + " members; at most " +
                                 std::to_string(group_member_max) + " are possible");
  for (const GroupMember& member : group.members) check_member(member);
}

}  // namespace

void Datapath::set_endpoints(const std::vector<TunnelEndpoints::Endpoint>& endpoints) {
  if (endpoints.size() > endpoint_max)
    throw Error("ERR_LIMIT", std::to_string(endpoints.size()) + " tunnel endpoints; at most " +
                                 std::to_string(endpoint_max) + " are possible");
  state_->endpoints = endpoints;
  state_->publish_endpoints();
  for (auto& [number, entry] : state_->ports) state_->narrow(*entry.port);
}

std::vector<TunnelEndpoints::Endpoint> Datapath::list_endpoints() { return state_->endpoints; }

void Datapath::set_networks(const std::vector<NetworkConfig>& networks) {
  for (const NetworkConfig& network : networks) {
    if (network.vni >= vni_limit)
      throw Error("ERR_LIMIT", "VNI " + std::to_string(network.vni) + " does not fit 24 bits");
    check_encap("VNI", network.vni, network.encap);
  }
  std::vector<NetworkConfig> before = std::move(state_->networks);
  state_->networks = networks;
  try {
    state_->publish_endpoints();
  } catch (...) {
    state_->networks = std::move(before);
    throw;
  }
}

std::vector<NetworkConfig> Datapath::list_networks() { return state_->networks; }

void Datapath::set_tunnel(const TunnelConfig& config) {
  check_number("tunnel", config.number, tunnel_max);
  check_encap("tunnel", config.number, static_cast<uint32_t>(config.encap));
  State::Tunnel& tunnel = state_->tunnels[config.number];
  const bool same_ends = tunnel.config.local == config.local &&
                         tunnel.config.remote == config.remote && tunnel.config.number != 0;
  tunnel.config = config;
  if (!same_ends) {
    tunnel.resolved = false;
    tunnel.why = "the next hop has not been looked up yet";
  }
  state_->publish_tunnel(tunnel);
  if (!same_ends) state_->publish_endpoints();
}

void Datapath::remove_tunnel(uint32_t number) {
  check_number("tunnel", number, tunnel_max);
  if (state_->tunnels.erase(number) == 0) not_found("tunnel", number);
  state_->replace<TunnelEntry>(state_->tables->tunnels[number], nullptr);
  state_->publish_endpoints();
}

void Datapath::set_next_hop(uint32_t number, const NextHop* hop, const char* why) {
  const auto found = state_->tunnels.find(number);
  if (found == state_->tunnels.end()) not_found("tunnel", number);
  State::Tunnel& tunnel = found->second;
  tunnel.resolved = hop != nullptr;
  if (hop != nullptr) tunnel.hop = *hop;
  tunnel.why = hop != nullptr ? "" : why;
  state_->publish_tunnel(tunnel);
}

std::vector<TunnelStatus> Datapath::list_tunnels() {
  std::vector<TunnelStatus> listed;
  for (const auto& [number, tunnel] : state_->tunnels) {
    TunnelStatus status{};
    status.config = tunnel.config;
    status.resolved = tunnel.resolved ? 1 : 0;
    if (tunnel.resolved) status.hop = tunnel.hop;
    snprintf(status.why, sizeof status.why, "%s", tunnel.why.c_str());
    listed.push_back(status);
  }
  return listed;
}

// Uplinks that can tell take only tunnel packets for our own VTEP addresses away from the host.
void Datapath::State::narrow(Port& port) {
  if ((port.config().flags & port_flag_uplink) == 0) return;
  std::vector<Ipv6Bytes> addresses;
  for (const TunnelEndpoints::Endpoint& endpoint : endpoints) addresses.push_back(endpoint.address);
  port.set_endpoints(addresses);
}

void Datapath::State::publish_tunnel(const Tunnel& tunnel) {
  auto entry = std::make_unique<const TunnelEntry>(
      build_tunnel(tunnel.config, tunnel.resolved ? &tunnel.hop : nullptr));
  replace<TunnelEntry>(tables->tunnels[tunnel.config.number], std::move(entry));
}

void Datapath::State::publish_endpoints() {
  auto fresh = std::make_unique<TunnelEndpoints>();
  fresh->set_endpoints(endpoints.data(), static_cast<uint32_t>(endpoints.size()));
  for (const NetworkConfig& network : networks)
    fresh->set_network(network.vni, static_cast<Encap>(network.encap));
  // A remote VTEP may have a tunnel of each encapsulation.
  for (const auto& [number, tunnel] : tunnels)
    fresh->set_tunnel(static_cast<uint16_t>(number), tunnel.config.remote, tunnel.config.encap);
  replace<TunnelEndpoints>(tables->endpoints, std::move(fresh));
}

void Datapath::set_groups(const std::vector<GroupConfig>& groups) {
  for (const GroupConfig& group : groups) check_group(group);
  for (const GroupConfig& group : groups) {
    auto entry = std::make_unique<const Group>(Group{group.members});
    state_->replace<Group>(state_->tables->groups[group.number], std::move(entry));
    state_->groups[group.number] = group;
  }
}

void Datapath::remove_groups(const std::vector<uint32_t>& numbers) {
  for (const uint32_t number : numbers)
    if (!state_->groups.contains(number)) not_found("group", number);
  for (const uint32_t number : numbers) {
    state_->groups.erase(number);
    state_->replace<Group>(state_->tables->groups[number], nullptr);
  }
}

std::vector<GroupConfig> Datapath::list_groups() {
  std::vector<GroupConfig> listed;
  for (const auto& [number, group] : state_->groups) listed.push_back(group);
  return listed;
}

void Datapath::set_meter(uint32_t number, const MeterConfig& config) {
  check_number("meter", number, meter_max);
  constexpr uint64_t most = uint64_t{1} << 40;
  if (config.rate == 0 || config.rate > most || config.burst == 0 || config.burst > most)
    throw Error("ERR_LIMIT", "meter " + std::to_string(number) +
                                 ": rate and burst must be between 1 and 2^40");
  state_->replace<MeterConfig>(state_->tables->meters[number],
                               std::make_unique<const MeterConfig>(config));
}

void Datapath::remove_meter(uint32_t number) {
  check_number("meter", number, meter_max);
  if (state_->tables->meters[number].load() == nullptr) not_found("meter", number);
  state_->replace<MeterConfig>(state_->tables->meters[number], nullptr);
}

}  // namespace vtep
