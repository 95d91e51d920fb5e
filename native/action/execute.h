// action/execute.h — runs a flow's action program on packets.
//
// Why:    the last step of a breath, for all that straight.h does not take: an interpreter. Every
//         packet is consumed: it is in a tx lane, copied to the slow path, or dropped and counted.
// Thread: one context per worker.
// Limits: none of its own; programs were validated at installation.
//
// Where packets may go. Back out of the port it came in by goes only a packet that was turned
// around (ArpReply, NdReply) or rewritten (another VLAN of a trunk, a routed packet); others drop
// with SamePort. A packet that came from a tunnel and was turned around goes back through that
// tunnel when output to in_port. Groups leave out the sender (in_port with the VLAN it came in
// with) and, for packets from a tunnel, every tunnel (split horizon). A copy for which no frame is
// free is counted NoFrames; the packet goes on.
#pragma once

#include <cstdint>

#include "action/action.h"
#include "action/answer_limits.h"
#include "action/drop_samples.h"
#include "action/meter.h"
#include "action/tables.h"
#include "action/tx_stage.h"
#include "base/counters.h"
#include "base/drop_reasons.h"
#include "flow/flow_key.h"
#include "flow/hash.h"
#include "flow/parse.h"
#include "packet/frame_pool.h"

namespace vtep {

// Why a packet went to the slow path. src/datapath/layout.ts mirrors the numbers.
enum class UpcallReason : uint16_t {
  Miss = 0,          // no megaflow matched
  Action = 1,        // an Upcall action asked for it
  Learn = 2,         // an Upcall action of a learning network
  TtlExceeded = 3,   // DecTtl found 1, and the program named no address to answer from
};

// What actions need of the worker beyond tables: counting, upcalls, connection commits.
class ActionHost {
 public:
  virtual ~ActionHost() = default;
  virtual void upcall(const Packet& packet, const FlowKey& key, const PacketInfo& info,
                      UpcallReason reason) noexcept = 0;  // copies the packet
  virtual void commit_connection(const Packet& packet, const FlowKey& key, const PacketInfo& info,
                                 uint16_t zone) noexcept = 0;
  // A packet that is about to be dropped, for the operator to see.
  virtual void show_drop(const Packet&, DropReason) noexcept {}
};

// One per worker, kept from breath to breath; the worker sets now_ns.
struct ExecuteContext {
  FrameCache& frames;
  const Tables& tables;
  TxStage& tx;
  ActionHost& host;
  uint64_t* worker_counters;  // [worker_counter_max]
  uint64_t (*port_drops)[drop_reason_max];  // [port_max]: by in_port (0: packets we made)
  uint64_t (*port_counters)[port_counter_max];  // [port_max]
  MeterState* meters;         // [meter_max], this worker's buckets
  AnswerBuckets* answers;     // [asker_max], likewise
  uint64_t now_ns;            // read once per breath, CLOCK_MONOTONIC
  uint64_t random_state = 0x9e3779b97f4a7c15;  // of Sample
  HashSecret entropy_secret = HashSecret::random();  // of outer UDP source ports
  uint16_t outer_ip_id = 0;   // next ID of outer IPv4 headers without DF
  const FlowKey* key = nullptr;  // of the packet in hand, where it is known: for show_drop()
  const ActionProgram* program = nullptr;  // that is executed; likewise
  DropSamples drop_samples = {};
};

// Counts the drop at the packet's in_port, and frees the packet.
void drop(ExecuteContext& context, const Packet& packet, DropReason reason) noexcept;

// Executes `program` on one packet, which is consumed.
void execute(ExecuteContext& context, const ActionProgram& program, const Packet& packet,
             const FlowKey& key, const PacketInfo& info) noexcept;

}  // namespace vtep
