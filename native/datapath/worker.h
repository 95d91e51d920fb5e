// datapath/worker.h — a worker: one native thread that takes packets from its queues and runs them
// to completion.
//
// Why:    nothing hot is shared. Each worker has its own exact cache, megaflows, connections,
//         frames, lanes and counters; what workers share (tunnels, groups, ports) they read
//         through pointers that the control thread replaces (grace.h). Packets move one way:
//         receive, classify, run, send; what no flow knows is asked, and the answer is taken
//         between two bursts.
// Thread: start() to stop() from the control thread; everything else on the worker's own thread,
//         or on the caller's in manual mode.
// Limits: batch_max packets from one queue per breath; answers_per_breath, commands_per_breath.
#pragma once

#include <sys/epoll.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <thread>
#include <vector>

#include "action/execute.h"
#include "action/meter.h"
#include "action/straight.h"
#include "base/fd.h"
#include "datapath/coarse_drops.h"
#include "datapath/command_ring.h"
#include "datapath/connections.h"
#include "datapath/end_marks.h"
#include "datapath/event_ring.h"
#include "datapath/grace.h"
#include "datapath/lazy_array.h"
#include "datapath/region.h"
#include "datapath/upcall_ring.h"
#include "datapath/worker_port.h"
#include "datapath/zones.h"
#include "flow/exact_cache.h"
#include "flow/megaflow_table.h"

namespace vtep {

// What all workers of a datapath have in common. Outlives them.
struct WorkerShared {
  const DatapathConfig& config;
  FramePool& pool;
  const Tables& tables;
  const Zones& zones;
  const CaptureFlags& capture;
  Grace& grace;
  const HashSecret& secret;
  Connections& connections;
  int slow_path_doorbell;  // borrowed
};

// A flow as this worker installed it: a copy, so that later writes to the slot change nothing.
struct InstalledFlow {
  uint32_t generation;    // as told when it was installed
  uint16_t installed;     // 1: in the megaflow table
  uint8_t stateful;       // 1: looks at ct_state or commits connections
  uint8_t denies;         // 1: its first action is the packet's end
  uint64_t stamp;         // the batch that `way` is good for
  uint32_t decision;      // TypeScript's, for reports
  StraightWay way;
  ActionProgram program;  // validated
};

// The packets that one queue gave us, with what is known of each. Columns, not rows: stages take
// spans.
struct Batch {
  uint32_t count = 0;
  Packet packets[batch_max];
  FlowKey keys[batch_max];
  PacketInfo infos[batch_max];
  uint64_t hashes[batch_max];         // of the keys before they had a ct_state
  uint32_t flows[batch_max];          // slot of the flow that decides; 0: none
  EventRecord* captured[batch_max];   // the packet's event; null: none. All null between captures
};

class Worker final : private TxStage, private ActionHost, private ExactSink {
 public:
  // `region` is read once, here. Throws Error{ERR_LIMIT}.
  Worker(uint32_t number, const WorkerShared& shared, const RegionView& region);
  ~Worker() override;  // stops
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  void start();          // begins the thread; throws Error{ERR_LIMIT}
  void stop() noexcept;  // ends it after its breath; may be called twice
  // One breath on the caller's thread; true if it did something.
  bool run_once() noexcept;

  // Control thread: hands the worker another set of ports. The old one may be retired afterwards.
  void publish_ports(const PortSet* ports) noexcept;
  int doorbell() const noexcept { return doorbell_.get(); }

 private:
  // worker.cpp: the loop.
  void loop() noexcept;
  bool breathe() noexcept;
  uint32_t receive_hot() noexcept;
  void process(WorkerPort& port, Batch& batch) noexcept;

  // worker_rx.cpp: from the queue to keys.
  uint32_t receive(WorkerPort& port) noexcept;
  uint64_t count_burst(const WorkerPort& port, const Packet* packets, uint32_t count) noexcept;
  void process_opened(WorkerPort& port, Batch& batch) noexcept;
  uint32_t next_batch(const WorkerPort& port, Batch& batch) noexcept;
  void parse_batch(const WorkerPort& port, Batch& batch) noexcept;
  void take_out_bad(const WorkerPort& port, Batch& batch) noexcept;

  // worker_classify.cpp: from keys to flows.
  bool look_up(Batch& batch) noexcept;
  uint32_t look_up_missed(Batch& batch, uint32_t count) noexcept;
  uint32_t usable_flow(const ExactEntry& entry, const PacketInfo& info) noexcept;
  uint32_t classify(const Packet& packet, FlowKey& key, const PacketInfo& info,
                    Tracked& tracked) noexcept;
  ConnectionPacket asked(const Packet& packet, const FlowKey& key,
                         const PacketInfo& info) const noexcept;
  void remember(const Batch& batch, uint32_t i, FlowRef flow, const Tracked& tracked) noexcept;
  void commit_connection(const Packet& packet, const FlowKey& key, const PacketInfo& info,
                         uint16_t zone) noexcept override;
  void flush(const ExactEntry& entry, const ExactSide& side) noexcept override;
  ExactVerdict keep(const ExactEntry& entry, const ExactSide& side) noexcept override;
  void foresee(const ExactEntry& entry, const ExactSide& side) noexcept override;
  void sweep_tables(bool busy) noexcept;
  bool sweep_behind() const noexcept;
  void follow_zones() noexcept;
  void sweep_exact(uint32_t part) noexcept;

  // worker_run.cpp: from flows to actions.
  void run(Batch& batch) noexcept;
  void run_flow(uint32_t slot, const Packet& packet, const FlowKey& key,
                const PacketInfo& info) noexcept;
  void count_flow(uint32_t slot, uint32_t packets, uint64_t bytes) noexcept;

  // worker_slow.cpp: questions and answers.
  void ask(Batch& batch) noexcept;
  void ask_one(const Packet& packet, const FlowKey& key, const PacketInfo& info,
               uint8_t tries) noexcept;
  void upcall(const Packet& packet, const FlowKey& key, const PacketInfo& info,
              UpcallReason reason) noexcept override;
  uint32_t take_verdicts() noexcept;
  void answer(const Outstanding& outstanding, const UpcallRecord& verdict, Packet packet) noexcept;
  void run_once_actions(const UpcallRecord& verdict, Packet& packet, const FlowKey& key,
                        PacketInfo& info) noexcept;
  void try_again(const Outstanding& outstanding, Packet& packet, FlowKey& key,
                 PacketInfo& info) noexcept;
  bool restore(const Outstanding& outstanding, Packet& packet, FlowKey& key,
               PacketInfo& info) noexcept;
  Packet copy_in(const uint8_t* bytes, uint32_t count, uint32_t in_port) noexcept;

  // worker_commands.cpp: what the slow path tells us unasked.
  uint32_t take_commands() noexcept;
  void set_timeouts(const uint8_t* bytes) noexcept;
  void pace_sweep() noexcept;
  void packet_out(const Command& command) noexcept;
  DropReason install(uint32_t slot, uint32_t generation) noexcept;
  void remove(uint32_t slot, uint32_t generation) noexcept;
  void forget(uint32_t slot) noexcept;

  // worker_tx.cpp: lanes.
  void drain(uint32_t port) noexcept override;
  void drain_unfinished(WorkerPort& port) noexcept;
  void drain_all() noexcept;
  void flush_ports() noexcept;
  void send(WorkerPort& port, const Packet* packets, uint32_t count) noexcept;

  // worker_capture.cpp: copies for the operator.
  void capture_rx(const WorkerPort& port, Batch& batch) noexcept;
  void run_captured(Batch& batch) noexcept;
  void capture_tx(uint32_t port, const Packet* packets, uint32_t count) noexcept;

  // worker_report.cpp: what the operator wants to know of entries and drops.
  void list_entries(const Command& command) noexcept;
  void mark_connection(const CommandRecord& command) noexcept;
  bool report(EventKind kind, const ExactEntry& entry, const ExactSide& side, uint32_t token,
              FlowEnd why) noexcept;
  void show_drop(const Packet& packet, DropReason reason) noexcept override;
  void drop_known(const Packet& packet, const FlowKey& key, DropReason reason) noexcept;

  // worker_flow_log.cpp: what the flow log is told of exact entries.
  void report_ends(const CommandRecord& command) noexcept;
  void note(const Packet& packet, const FlowKey& key, uint64_t hash, uint32_t slot,
            const Tracked& tracked) noexcept;
  void note_alone(const Packet& packet, const FlowKey& key, uint32_t slot,
                  const Tracked& tracked) noexcept;
  void note_answered(const Packet& packet, const FlowKey& key, const PacketInfo& info,
                     uint32_t slot) noexcept;
  void tie_noted(const FlowKey& key, const Committed& committed) noexcept;
  bool tell(const ExactEntry& entry, const ExactSide& side, const ExactTold& told,
            Telling telling) noexcept override;
  void follow_ends() noexcept;
  bool end_entry(uint32_t number) noexcept;

  // worker_idle.cpp: ports that come and go, sleep, what is done once a second.
  void begin_breath() noexcept;
  void end_breath(bool worked) noexcept;
  void follow_ports() noexcept;
  void adopt_ports(const PortSet* ports) noexcept;
  void listen(WorkerPort& port) noexcept;
  void wake_ports() noexcept;
  void heat(const epoll_event* ready, int count) noexcept;
  void cool(WorkerPort& port) noexcept;
  void sleep() noexcept;
  bool something_waits() const noexcept;
  void every_second() noexcept;
  void settle_port_stats() noexcept;

  uint64_t& counter(WorkerCounter which) noexcept {
    return worker_counters_[static_cast<uint32_t>(which)];
  }
  uint64_t& port_counter(uint32_t port, PortCounter which) noexcept {
    return port_counters_[port][static_cast<uint32_t>(which)];
  }

  static constexpr uint32_t answers_per_breath = 256;
  static constexpr uint32_t commands_per_breath = 256;
  static constexpr uint32_t sweep_round_default_ms = 8000;
  static constexpr uint32_t sweep_round_min_ms = 1000;

  const uint32_t number_;        // of this worker
  const WorkerShared shared_;
  const FlowSlot* const slots_;  // shared: TypeScript writes it at any time
  FlowStats* const stats_;       // [flow_max], shared
  uint64_t* const worker_counters_;
  PortCounterRow* const port_counters_;
  DropRow* const port_drops_;

  FrameCache frames_;
  LazyArray<std::byte> exact_memory_;
  LazyArray<std::byte> megaflow_memory_;
  ExactCache exact_;
  EndMarks ends_;
  MegaflowTable megaflows_;
  ConnectionTable& connections_;    // shared
  LazyArray<InstalledFlow> flows_;  // [flow_max]
  LazyArray<MeterState> meters_;    // [meter_max]
  LazyArray<AnswerBuckets> answers_;  // [asker_max]
  UpcallRing upcalls_;
  CoarseDrops coarse_drops_;
  CommandRing commands_;
  EventRing events_;
  ExecuteContext context_;

  Fd doorbell_;                     // eventfd
  Fd second_;                       // timerfd that expires once a second
  Fd epoll_;                        // doorbell, timer and the descriptors of receiving ports
  std::atomic<const PortSet*> published_ports_ = nullptr;
  const PortSet* ports_ = nullptr;  // what this breath works with
  uint64_t ports_version_ = 0;      // of ports_, which may be gone while the worker is away
  WorkerPort* by_number_[port_max] = {};
  std::vector<WorkerPort*> hot_;    // room for all ports is reserved when they are adopted
  uint32_t cold_count_ = 0;         // receiving ports with a descriptor that are not hot
  std::vector<uint16_t> touched_;   // ports that want a flush at the breath's end

  uint64_t now_ns_ = 0;             // CLOCK_MONOTONIC at the breath's start
  uint64_t busy_ns_ = 0;            // when there was work last
  bool rang_ = false;               // the slow path's doorbell, at this breath's end
  uint64_t glanced_ns_ = 0;         // when epoll was asked last
  uint64_t second_ns_ = 0;          // when every_second() ran last
  uint64_t swept_ms_ = 0;           // when the tables were swept last
  uint64_t exact_owed_ = 0;         // thousandths of entries that the sweep is behind by
  uint64_t connections_owed_ = 0;   // likewise, places of connections
  ChangedZones changed_zones_;      // since exact entries were made, until the sweep was round
  uint32_t purge_left_ = 0;         // places of the exact cache until then
  uint32_t purge_ms_ = 0;           // when they changed, low 32 bits
  bool reports_ends_ = false;       // exact entries are told of
  uint32_t idle_ms_ = 120'000;      // an entry unused for longer goes, or rests
  uint32_t active_ms_ = 0;          // one that goes on is told of this often
  uint32_t steady_ms_ = udp_single_ms;  // shortest idle time of connections with exact entries
  uint32_t sweep_round_ms_ = sweep_round_default_ms;  // the exact cache is looked through so often
  uint64_t ends_ms_ = 0;            // when connections that end were looked for last
  bool ends_wait_ = false;          // for room in the event ring
  uint64_t batch_stamp_ = 0;        // grows with each batch

  Packet burst_[batch_max];         // as the queue gave them, if superpackets must be opened
  uint32_t burst_count_ = 0;
  uint32_t burst_at_ = 0;           // next of burst_ to go into a batch
  Packet split_[segments_max];      // of a superpacket that came by an uplink
  uint32_t split_count_ = 0;
  uint32_t split_at_ = 0;
  Packet finished_[segments_max + batch_max];  // packets as the port takes them
  ExactEntry* exact_hits_[batch_max];   // of the batch: entry or null
  uint16_t missed_[batch_max];          // packets of the batch without a usable exact entry
  ConnectionPacket asked_[batch_max];   // of those: as the connection table sees them
  Tracked tracked_[batch_max];          // what it said
  const FlowKey* missed_keys_[batch_max];  // of those, for the megaflow table
  FlowRef found_[batch_max];            // what it said
  std::unique_ptr<Batch> batch_;

  std::atomic<bool> stopping_ = false;
  std::thread thread_;
};

}  // namespace vtep
