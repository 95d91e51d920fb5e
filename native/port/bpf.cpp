// port/bpf.cpp — the system call behind bpf.h.
#include "port/bpf.h"

#include <sys/syscall.h>
#include <unistd.h>

#include <cstring>

namespace vtep {
namespace {

// The kernel demands GPL only of programs that call helpers which we do not call.
constexpr char license[] = "Apache-2.0";

}  // namespace

int bpf_call(bpf_cmd command, bpf_attr& attributes) noexcept {
  return static_cast<int>(::syscall(SYS_bpf, command, &attributes, sizeof attributes));
}

Fd bpf_load(bpf_prog_type type, uint32_t attach_type, const bpf_insn* code, uint32_t count,
            uint32_t flags) noexcept {
  bpf_attr attributes;
  memset(&attributes, 0, sizeof attributes);
  attributes.prog_type = type;
  attributes.expected_attach_type = attach_type;
  attributes.prog_flags = flags;
  attributes.insns = reinterpret_cast<uint64_t>(code);
  attributes.insn_cnt = count;
  attributes.license = reinterpret_cast<uint64_t>(license);
  memcpy(attributes.prog_name, "vtep", 5);
  return Fd(bpf_call(BPF_PROG_LOAD, attributes));
}

Fd bpf_attach(int program, uint32_t ifindex, uint32_t attach_type, uint32_t flags) noexcept {
  bpf_attr attributes;
  memset(&attributes, 0, sizeof attributes);
  attributes.link_create.prog_fd = static_cast<uint32_t>(program);
  attributes.link_create.target_ifindex = ifindex;
  attributes.link_create.attach_type = attach_type;
  attributes.link_create.flags = flags;
  return Fd(bpf_call(BPF_LINK_CREATE, attributes));
}

Fd bpf_make_map(bpf_map_type type, uint32_t key_bytes, uint32_t value_bytes,
                uint32_t entries) noexcept {
  bpf_attr attributes;
  memset(&attributes, 0, sizeof attributes);
  attributes.map_type = type;
  attributes.key_size = key_bytes;
  attributes.value_size = value_bytes;
  attributes.max_entries = entries;
  memcpy(attributes.map_name, "vtep", 5);
  return Fd(bpf_call(BPF_MAP_CREATE, attributes));
}

bool bpf_map_set(int map, const void* key, const void* value) noexcept {
  bpf_attr attributes;
  memset(&attributes, 0, sizeof attributes);
  attributes.map_fd = static_cast<uint32_t>(map);
  attributes.key = reinterpret_cast<uint64_t>(key);
  attributes.value = reinterpret_cast<uint64_t>(value);
  return bpf_call(BPF_MAP_UPDATE_ELEM, attributes) == 0;
}

bool bpf_map_get(int map, const void* key, void* value) noexcept {
  bpf_attr attributes;
  memset(&attributes, 0, sizeof attributes);
  attributes.map_fd = static_cast<uint32_t>(map);
  attributes.key = reinterpret_cast<uint64_t>(key);
  attributes.value = reinterpret_cast<uint64_t>(value);
  return bpf_call(BPF_MAP_LOOKUP_ELEM, attributes) == 0;
}

bool bpf_map_delete(int map, const void* key) noexcept {
  bpf_attr attributes;
  memset(&attributes, 0, sizeof attributes);
  attributes.map_fd = static_cast<uint32_t>(map);
  attributes.key = reinterpret_cast<uint64_t>(key);
  return bpf_call(BPF_MAP_DELETE_ELEM, attributes) == 0;
}

}  // namespace vtep
