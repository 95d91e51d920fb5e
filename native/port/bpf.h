// port/bpf.h — bpf(2) as three calls: load a program, make a map, attach by a link.
//
// Why:    a link ends with its descriptor, so even SIGKILL leaves no program attached; and libbpf
//         would be a large dependency for these calls.
// Thread: control thread.
// Owner:  every descriptor is returned as an Fd; the caller keeps it for as long as the thing shall
//         live.
#pragma once

#include <linux/bpf.h>

#include <cstdint>

#include "base/fd.h"

namespace vtep {

// bpf(2) itself: -1 and errno on failure.
int bpf_call(bpf_cmd command, bpf_attr& attributes) noexcept;

// Loads `count` instructions as a program of `type`. Not open and errno on failure.
Fd bpf_load(bpf_prog_type type, uint32_t attach_type, const bpf_insn* code, uint32_t count,
            uint32_t flags = 0) noexcept;

// Attaches a program to a device at `attach_type` with `flags`. Not open and errno on failure.
Fd bpf_attach(int program, uint32_t ifindex, uint32_t attach_type, uint32_t flags) noexcept;

Fd bpf_make_map(bpf_map_type type, uint32_t key_bytes, uint32_t value_bytes,
                uint32_t entries) noexcept;
bool bpf_map_set(int map, const void* key, const void* value) noexcept;
bool bpf_map_get(int map, const void* key, void* value) noexcept;
bool bpf_map_delete(int map, const void* key) noexcept;

}  // namespace vtep
