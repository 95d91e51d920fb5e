// port/xdp_loader.cpp — puts map descriptors into the committed bytecode and attaches it.
#include "port/xdp_loader.h"

#include <linux/bpf.h>
#include <linux/if_link.h>

#include <bit>
#include <cerrno>
#include <cstring>

#include "base/be.h"
#include "base/error.h"
#include "port/bpf.h"
#include "port/kernel_abi.h"
#include "port/xdp_config.h"
#include "port/xdp_redirect_bytecode.h"

namespace vtep {
namespace {

static_assert(std::endian::native == std::endian::little, "the bytecode is little-endian");
static_assert(XDP_ENDPOINT_MAX == endpoint_max);

std::vector<bpf_insn> linked_code(int sockets, int rules) {
  static_assert(sizeof(bpf_insn) == 8);
  std::vector<bpf_insn> code(sizeof xdp_redirect_code / sizeof(bpf_insn));
  memcpy(code.data(), xdp_redirect_code, sizeof xdp_redirect_code);
  for (const XdpMapUse& use : xdp_redirect_maps) {
    code[use.instruction].src_reg = BPF_PSEUDO_MAP_FD;
    code[use.instruction].imm = strcmp(use.map, "sockets") == 0 ? sockets : rules;
  }
  return code;
}

}  // namespace

XdpProgram::XdpProgram(const Device& device, const PortConfig& config, bool native)
    : device_(device.name),
      uplink_((config.flags & port_flag_uplink) != 0 ? 1 : 0),
      vxlan_port_(config.vxlan_port),
      geneve_port_(config.geneve_port) {
  const std::string doing = "loading the XDP program for device '" + device_ + "'";
  sockets_ = bpf_make_map(BPF_MAP_TYPE_XSKMAP, 4, 4, xdp_queue_max);
  if (!sockets_.open() && errno == EINVAL)
    throw Error("ERR_XDP_UNSUPPORTED", doing + " failed: this kernel has no AF_XDP", errno);
  if (!sockets_.open()) throw_errno(doing, "CAP_BPF and CAP_NET_ADMIN", errno);
  rules_ = bpf_make_map(BPF_MAP_TYPE_ARRAY, 4, sizeof(xdp_redirect_config), 1);
  if (!rules_.open()) throw_errno(doing, "CAP_BPF", errno);
  set_endpoints({});
  const std::vector<bpf_insn> code = linked_code(sockets_.get(), rules_.get());
  const auto count = static_cast<uint32_t>(code.size());
  // Packets of several buffers (superpackets, jumbo frames) come only to programs that say they
  // know them.
  program_ = bpf_load(BPF_PROG_TYPE_XDP, BPF_XDP, code.data(), count, kernel::xdp_has_frags);
  if (!program_.open()) program_ = bpf_load(BPF_PROG_TYPE_XDP, BPF_XDP, code.data(), count);
  if (!program_.open() && errno == EINVAL)
    throw Error("ERR_XDP_UNSUPPORTED", doing + " failed: the kernel refuses it (5.9 is needed)",
                errno);
  if (!program_.open()) throw_errno(doing, "CAP_BPF and CAP_NET_ADMIN", errno);
  attach(device, native);
}

void XdpProgram::attach(const Device& device, bool native) {
  const uint32_t flags = native ? XDP_FLAGS_DRV_MODE : XDP_FLAGS_SKB_MODE;
  link_ = bpf_attach(program_.get(), device.ifindex, BPF_XDP, flags);
  if (link_.open()) return;
  const std::string doing = "attaching XDP to device '" + device_ + "'";
  if (errno == EBUSY || errno == EEXIST)
    throw Error(
        "ERR_DEVICE_BUSY",
        doing + " failed: another XDP program is there (`ip link show dev " + device_ + "`)",
        errno);
  if (errno == EPERM || errno == EACCES) throw_errno(doing, "CAP_BPF and CAP_NET_ADMIN", errno);
  throw Error("ERR_XDP_UNSUPPORTED",
              doing + (native ? " failed: its driver '" + device.driver +
                                    "' has no XDP, or not with this " + "MTU or number of queues"
                              : " failed: the kernel's generic XDP refuses it"),
              errno);
}

void XdpProgram::set_socket(uint32_t queue, int socket) {
  if (!bpf_map_set(sockets_.get(), &queue, &socket))
    throw_errno("steering queue " + std::to_string(queue) + " of device '" + device_ + "' to us",
                "CAP_BPF", errno);
}

void XdpProgram::set_endpoints(const std::vector<std::array<uint8_t, 16>>& addresses) {
  if (addresses.size() > endpoint_max)
    throw Error("ERR_LIMIT",
                "an uplink has at most " + std::to_string(endpoint_max) + " VTEP addresses");
  xdp_redirect_config config = {};
  config.uplink = uplink_;
  config.vxlan_port = be16(vxlan_port_).raw;
  config.geneve_port = be16(geneve_port_).raw;
  config.endpoint_count = static_cast<uint32_t>(addresses.size());
  for (size_t i = 0; i < addresses.size(); ++i)
    memcpy(config.endpoints[i], addresses[i].data(), 16);
  const uint32_t zero = 0;
  if (!bpf_map_set(rules_.get(), &zero, &config))
    throw_errno("telling the XDP program of device '" + device_ + "' its rules", "CAP_BPF", errno);
}

}  // namespace vtep
