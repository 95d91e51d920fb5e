// binding/layout_table.cpp — constants and offsets of the shared layout by name, for
// src/datapath/layout.ts to compare.

#include <napi.h>

#include <cstddef>

#include "action/action.h"
#include "action/execute.h"
#include "base/counters.h"
#include "base/drop_reasons.h"
#include "base/limits.h"
#include "binding/datapath_object.h"
#include "datapath/layout.h"
#include "flow/flow_key.h"
#include "flow/flow_stats.h"

namespace vtep {

namespace {

struct Named {
  const char* name;
  uint64_t value;
};

#define SIZE(type) {#type ".size", sizeof(type)}
#define AT(type, field) {#type "." #field, offsetof(type, field)}
#define LIMIT(name) {#name, name}
#define VALUE(type, name) {#type "::" #name, static_cast<uint64_t>(type::name)}

const Named table[] = {
    LIMIT(layout_magic), LIMIT(layout_version), LIMIT(worker_max), LIMIT(port_max),
    LIMIT(tunnel_max), LIMIT(group_max), LIMIT(meter_max), LIMIT(endpoint_max),
    LIMIT(drop_reason_max), LIMIT(port_counter_max),
    LIMIT(worker_counter_max), LIMIT(action_words_max), LIMIT(inline_action_words_max),
    LIMIT(capture_bytes_max), LIMIT(drop_sample_bytes_max),
    LIMIT(packet_bytes_max), LIMIT(flow_free), LIMIT(flow_live),
    LIMIT(timeout_min_ms), LIMIT(timeout_max_ms),

    SIZE(RegionHeader), AT(RegionHeader, magic), AT(RegionHeader, version),
    AT(RegionHeader, bytes), AT(RegionHeader, worker_count), AT(RegionHeader, flow_max),
    AT(RegionHeader, upcall_ring_bytes), AT(RegionHeader, command_ring_bytes),
    AT(RegionHeader, event_ring_bytes), AT(RegionHeader, datapath_pid),
    AT(RegionHeader, started_ns), AT(RegionHeader, flows_offset), AT(RegionHeader, stats_offset),
    AT(RegionHeader, counters_offset), AT(RegionHeader, ports_offset),
    AT(RegionHeader, drops_offset), AT(RegionHeader, rings_offset), AT(RegionHeader, ring_stride),

    SIZE(FlowSlot), AT(FlowSlot, state), AT(FlowSlot, generation), AT(FlowSlot, action_words),
    AT(FlowSlot, decision), AT(FlowSlot, created_ms), AT(FlowSlot, key), AT(FlowSlot, mask),
    AT(FlowSlot, actions),
    SIZE(FlowStats), AT(FlowStats, packets), AT(FlowStats, bytes), AT(FlowStats, used_ms),

    SIZE(RingHeader), AT(RingHeader, produced), AT(RingHeader, answered), AT(RingHeader, consumed),
    AT(RingHeader, sleeping),

    SIZE(UpcallRecord), AT(UpcallRecord, record_bytes), AT(UpcallRecord, kind),
    AT(UpcallRecord, reason), AT(UpcallRecord, packet_bytes), AT(UpcallRecord, rx_ns),
    AT(UpcallRecord, in_port), AT(UpcallRecord, outer_bytes), AT(UpcallRecord, offload),
    AT(UpcallRecord, l3), AT(UpcallRecord, l4), AT(UpcallRecord, payload),
    AT(UpcallRecord, tcp_flags), AT(UpcallRecord, ip_tos), AT(UpcallRecord, ip_ttl),
    AT(UpcallRecord, outer_tos), AT(UpcallRecord, verdict_kind), AT(UpcallRecord, verdict_flow),
    AT(UpcallRecord, verdict_generation), AT(UpcallRecord, key),
    AT(UpcallRecord, verdict_reason), AT(UpcallRecord, inline_count),
    AT(UpcallRecord, inline_actions),

    SIZE(CommandRecord), AT(CommandRecord, record_bytes), AT(CommandRecord, kind),
    AT(CommandRecord, slot), AT(CommandRecord, generation), AT(CommandRecord, in_port),
    AT(CommandRecord, action_words), AT(CommandRecord, packet_bytes), AT(CommandRecord, token),
    AT(CommandRecord, mark), AT(CommandRecord, mark_ms),
    AT(CommandRecord, idle_ms), AT(CommandRecord, active_ms),

    SIZE(EventRecord), AT(EventRecord, record_bytes), AT(EventRecord, kind),
    AT(EventRecord, time_ns), AT(EventRecord, port), AT(EventRecord, packet_bytes),
    AT(EventRecord, original_bytes), AT(EventRecord, flow), AT(EventRecord, verdict),
    AT(EventRecord, drop_reason), AT(EventRecord, other_port), AT(EventRecord, generation),
    AT(EventRecord, token),

    SIZE(EntryReport), AT(EntryReport, key), AT(EntryReport, packets), AT(EntryReport, bytes),
    AT(EntryReport, flow), AT(EntryReport, generation), AT(EntryReport, decision),
    AT(EntryReport, connection), AT(EntryReport, connection_generation),
    AT(EntryReport, connection_state), AT(EntryReport, age_ms), AT(EntryReport, idle_ms),
    AT(EntryReport, why),

    SIZE(ConnectionTimeouts), AT(ConnectionTimeouts, syn_sent),
    AT(ConnectionTimeouts, syn_received), AT(ConnectionTimeouts, established),
    AT(ConnectionTimeouts, fin_wait), AT(ConnectionTimeouts, close_wait),
    AT(ConnectionTimeouts, last_ack), AT(ConnectionTimeouts, time_wait),
    AT(ConnectionTimeouts, close), AT(ConnectionTimeouts, udp_unreplied),
    AT(ConnectionTimeouts, udp_stream), AT(ConnectionTimeouts, icmp),
    AT(ConnectionTimeouts, other),

    SIZE(FlowKey), AT(FlowKey, in_port), AT(FlowKey, tunnel_id), AT(FlowKey, tunnel_src),
    AT(FlowKey, eth_type), AT(FlowKey, vlan_tci), AT(FlowKey, vlan_tci2), AT(FlowKey, eth_dst),
    AT(FlowKey, ip_proto), AT(FlowKey, ip_frag), AT(FlowKey, eth_src), AT(FlowKey, ct_state),
    AT(FlowKey, tp_src), AT(FlowKey, tp_dst), AT(FlowKey, tunnel_port), AT(FlowKey, ip_src),
    AT(FlowKey, ip_dst), AT(FlowKey, ipv6_src), AT(FlowKey, ipv6_dst), AT(FlowKey, nd_target),
    AT(FlowKey, arp_sha), AT(FlowKey, arp_tha),

    VALUE(RecordKind, Pad), VALUE(RecordKind, Upcall), VALUE(RecordKind, Follower),
    VALUE(VerdictKind, None), VALUE(VerdictKind, Flow), VALUE(VerdictKind, Once),
    VALUE(VerdictKind, Retry), VALUE(VerdictKind, Drop),
    VALUE(CommandKind, Pad), VALUE(CommandKind, InstallFlow), VALUE(CommandKind, RemoveFlow),
    VALUE(CommandKind, PacketOut), VALUE(CommandKind, FlushExact), VALUE(CommandKind, Barrier),
    VALUE(CommandKind, ListEntries), VALUE(CommandKind, MarkConnection),
    VALUE(CommandKind, ReportEnds), VALUE(CommandKind, SetTimeouts),
    VALUE(EventKind, Pad), VALUE(EventKind, CaptureRx), VALUE(EventKind, CaptureTx),
    VALUE(EventKind, Drop), VALUE(EventKind, Entry), VALUE(EventKind, EntryEnd),
    VALUE(EventKind, Listed),
    VALUE(UpcallReason, Miss), VALUE(UpcallReason, Action), VALUE(UpcallReason, Learn),
    VALUE(UpcallReason, TtlExceeded),
    VALUE(Op, Output), VALUE(Op, OutputTunnel), VALUE(Op, OutputGroup), VALUE(Op, SetEthSrc),
    VALUE(Op, SetEthDst), VALUE(Op, PushVlan), VALUE(Op, PopVlan), VALUE(Op, SetIpv4Src),
    VALUE(Op, SetIpv4Dst), VALUE(Op, SetIpv6Src), VALUE(Op, SetIpv6Dst), VALUE(Op, SetTpSrc),
    VALUE(Op, SetTpDst), VALUE(Op, SetDscp), VALUE(Op, DecTtl), VALUE(Op, ArpReply),
    VALUE(Op, NdReply), VALUE(Op, EnforceMtu), VALUE(Op, Meter), VALUE(Op, Mirror),
    VALUE(Op, Upcall), VALUE(Op, Drop), VALUE(Op, CtCommit), VALUE(Op, Sample),
    VALUE(Op, Reject), VALUE(Op, EchoReply), VALUE(Op, Unreachable), VALUE(Op, RouterAdvert),
    VALUE(Op, RouterPrefix),
};

}  // namespace

Napi::Value layout_table(const Napi::CallbackInfo& info) {
  Napi::Object object = Napi::Object::New(info.Env());
  for (const Named& named : table)
    object.Set(named.name, Napi::Number::New(info.Env(), static_cast<double>(named.value)));
  return object;
}

}  // namespace vtep
