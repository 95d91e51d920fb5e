// datapath/datapath_ports.cpp — ports that come and go while the others forward.
//
// A port is opened wholly before any worker hears of it, and workers take over a new set of ports
// between two breaths, so that adding or removing one port loses no packet of another.

#include <algorithm>
#include <cstring>

#include "datapath/datapath_state.h"
#include "packet/gso.h"

namespace vtep {

namespace {

uint8_t tx_bits(const PortCapabilities& capabilities) noexcept {
  uint8_t can = 0;
  if (capabilities.tx_checksum) can |= tx_can_checksum;
  if (capabilities.tx_tso) can |= tx_can_tso;
  if (capabilities.tx_uso) can |= tx_can_uso;
  return can;
}

std::unique_ptr<WorkerPort> make_end(Port& port, uint32_t worker, bool receive) {
  auto end = std::make_unique<WorkerPort>();
  end->number = port.config().number;
  end->uplink = (port.config().flags & port_flag_uplink) != 0;
  end->queue = port.open_queue(worker, receive);
  end->receives = end->queue->receives();
  end->fd = end->receives ? end->queue->rx_fd() : -1;
  end->lane.can = tx_bits(port.capabilities());
  return end;
}

std::string numbered(const char* what, uint32_t number) {
  return std::string(what) + " " + std::to_string(number);
}

}  // namespace

PortStatus Datapath::add_port(const PortConfig& config) {
  State& state = *state_;
  if (config.number == 0 || config.number >= port_max)
    throw Error("ERR_LIMIT", numbered("port", config.number) + " is not between 1 and " +
                                 std::to_string(port_max - 1));
  if (state.ports.count(config.number) != 0)
    throw Error("ERR_PORT_EXISTS", numbered("port", config.number) + " exists already");
  State::PortEntry entry;
  entry.asked = config;
  entry.port = make_port(config, state.pool);
  state.narrow(*entry.port);
  entry.reader = state.least_loaded();
  for (uint32_t worker = 0; worker < state.config.worker_count; worker++)
    entry.ends.push_back(make_end(*entry.port, worker, worker == entry.reader));
  const PortStatus status = entry.port->status();

  // Nothing can fail any more. A number that was used before starts to count from zero.
  for (uint32_t worker = 0; worker < state.config.worker_count; worker++) {
    const RegionView view = state.region.view();
    memset(view.port_counters(worker)[config.number], 0, sizeof(PortCounterRow));
    memset(view.port_drops(worker)[config.number], 0, sizeof(DropRow));
  }
  state.ports.emplace(config.number, std::move(entry));
  state.publish_port_sets();
  return status;
}

void Datapath::remove_port(uint32_t number) {
  State& state = *state_;
  const auto found = state.ports.find(number);
  if (found == state.ports.end())
    throw Error("ERR_PORT_NOT_FOUND", numbered("port", number) + " does not exist");
  State::PortEntry entry = std::move(found->second);
  state.ports.erase(found);
  state.publish_port_sets();
  state.grace.synchronize();  // from here on no worker knows the port
  state.zones->clear_port(number);
  set_capture(number, false);
  entry.ends.clear();
}

std::vector<std::pair<PortConfig, PortStatus>> Datapath::list_ports() {
  std::vector<std::pair<PortConfig, PortStatus>> listed;
  for (const auto& [number, entry] : state_->ports)
    listed.emplace_back(entry.asked, entry.port->status());
  return listed;
}

// Hands every worker the ports as they are now; the sets before are freed when no worker reads
// them.
void Datapath::State::publish_port_sets() {
  for (uint32_t worker = 0; worker < config.worker_count; worker++) {
    auto fresh = std::make_unique<PortSet>();
    fresh->version = port_set_version + 1;
    for (auto& [number, entry] : ports) fresh->ports.push_back(entry.ends[worker].get());
    workers[worker]->publish_ports(fresh.get());
    std::unique_ptr<const PortSet> old = std::move(port_sets[worker]);
    port_sets[worker] = std::move(fresh);
    grace.retire(std::move(old));
  }
  port_set_version++;
}

uint32_t Datapath::State::least_loaded() const {
  std::vector<uint32_t> readers(config.worker_count, 0);
  for (const auto& [number, entry] : ports) readers[entry.reader]++;
  return static_cast<uint32_t>(std::min_element(readers.begin(), readers.end()) - readers.begin());
}

void Datapath::set_zone(uint32_t port, uint32_t vni, uint16_t zone, uint16_t vlan) {
  if (vlan >= vlan_limit) throw Error("ERR_LIMIT", numbered("VLAN", vlan) + " is above 4095");
  if (port >= port_max || vni >= vni_limit || (port == 0) == (vni == 0))
    throw Error("ERR_LIMIT", "a zone belongs to a port or to a VNI: got " + numbered("port", port) +
                                 " and " + numbered("VNI", vni));
  if (vni != 0)
    state_->zones->set_vni(vni, zone);
  else
    state_->zones->set_port(port, vlan, zone);
}

void Datapath::set_capture(uint32_t port, bool on) {
  if (port >= port_max) throw Error("ERR_LIMIT", numbered("port", port) + " is no port number");
  CaptureFlags& flags = state_->capture;
  if ((flags.ports[port].load() != 0) == on) return;
  flags.ports[port].store(on ? 1 : 0);
  flags.any.fetch_add(on ? 1u : ~0u);
}

}  // namespace vtep
