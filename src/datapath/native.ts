// datapath/native.ts — the addon's surface as TypeScript sees it: the keyhole.
//
// Rare calls throw an Error whose `code` is one of lib/errors.ts; batches cannot fail. The same
// interface is served by a datapath inside this process and by one behind the control socket.
// Bytes are shared: `memory` is the region of native/datapath/layout.h; ownership moves only by a
// call.

/** Kinds of port as in native/port/port.h PortKind. */
export type NativePortKind =
  | 'auto'
  | 'af_packet'
  | 'af_xdp'
  | 'af_xdp_native'
  | 'af_xdp_generic'
  | 'tap'
  | 'pcap'
  | 'memory';

export interface NativePortConfig {
  readonly number: number;
  readonly name: string;
  readonly kind: NativePortKind;
  readonly device?: string;
  readonly uplink?: boolean;
  /** L3 bytes; 0 or absent: the device's own. */
  readonly mtu?: number;
  readonly rxPath?: string;
  readonly txPath?: string;
  readonly loop?: boolean;
  /** UDP ports of tunnels, for uplinks; host order. */
  readonly vxlanPort?: number;
  readonly genevePort?: number;
}

export interface NativePortStatus {
  readonly kind: NativePortKind;
  readonly mode: string;
  readonly why: string;
  readonly ifindex: number;
  readonly mtu: number;
  readonly linkUp: boolean;
  readonly mac: string;
}

export interface NativePort extends NativePortConfig {
  readonly status: NativePortStatus;
}

export interface NativeTunnel {
  readonly number: number;
  readonly encap: 'vxlan' | 'geneve';
  /** IPv4 or IPv6 address as text. */
  readonly local: string;
  readonly remote: string;
  /** UDP destination port, host order. */
  readonly udpPort: number;
  readonly ttl?: number;
  readonly dscpInherit?: boolean;
  readonly dontFragment?: boolean;
  readonly udpChecksum?: boolean;
}

export interface NativeTunnelStatus extends NativeTunnel {
  readonly resolved: boolean;
  /** Why it is not resolved; empty when it is. */
  readonly why: string;
  readonly uplinkPort: number;
  readonly sourceMac: string;
  readonly targetMac: string;
  /** Underlay MTU, L3 bytes. */
  readonly mtu: number;
}

export interface NativeGroupMember {
  readonly kind: 'port' | 'tunnel';
  readonly number: number;
  /** VLAN id to push (trunk ports); 0 or absent: none. */
  readonly vlan?: number;
  /** Meter that copies to a port must pass; 0 or absent: none. */
  readonly meter?: number;
}

export interface NativeGroup {
  readonly number: number;
  readonly members: readonly NativeGroupMember[];
}

export interface NativeNetwork {
  readonly vni: number;
  readonly encap: 'vxlan' | 'geneve';
}

export interface NativeEndpoint {
  readonly address: string;
  readonly vxlanPort: number;
  readonly genevePort: number;
}

export interface NativeMeter {
  /** Bytes or packets per second. */
  readonly rate: number;
  readonly burst: number;
  readonly packets: boolean;
}

/** A datapath, in this process or behind the control socket. */
export interface NativeDatapath {
  /** The shared region; the same buffer for the object's life. */
  readonly memory: ArrayBuffer;
  readonly workerCount: number;

  addPort(config: NativePortConfig): NativePortStatus;
  removePort(number: number): void;
  listPorts(): NativePort[];
  setEndpoints(endpoints: readonly NativeEndpoint[]): void;
  listEndpoints(): NativeEndpoint[];
  setNetworks(networks: readonly NativeNetwork[]): void;
  listNetworks(): NativeNetwork[];
  setTunnel(tunnel: NativeTunnel): void;
  removeTunnel(number: number): void;
  listTunnels(): NativeTunnelStatus[];
  setGroups(groups: readonly NativeGroup[]): void;
  removeGroups(numbers: readonly number[]): void;
  listGroups(): NativeGroup[];
  setMeter(number: number, meter: NativeMeter): void;
  removeMeter(number: number): void;
  /** Of a port's VLAN (0: no tag), or of a VNI; the other is 0. Zone 0: not tracked. */
  setZone(port: number, vni: number, zone: number, vlan: number): void;
  setCapture(port: number, on: boolean): void;

  /**
   * Moves the `answered` cursor of a worker's upcalls on by `bytes` (release) and wakes the worker
   * if it sleeps; a full fence. What waits behind the cursor tells waitingUpcalls() in memory.ts.
   */
  giveVerdicts(worker: number, bytes: number): void;
  /** Bytes free in the command ring of a worker (acquire). */
  commandRoom(worker: number): number;
  /** Moves `produced` of the command ring on by `bytes` (release) and wakes the worker. */
  giveCommands(worker: number, bytes: number): void;
  /** Bytes of event records that wait behind the `consumed` cursor (acquire); freeEvents gives
   * them back. */
  takeEvents(worker: number): number;
  freeEvents(worker: number, bytes: number): void;

  /** Calls `wake` on the event loop, once per doorbell, when upcalls or events wait. */
  onDoorbell(wake: () => void): void;
  /** Remote only: called once when the datapath process has gone. */
  onGone(gone: () => void): void;
  /** Detaches; an in-process datapath also stops. May be called twice. */
  close(): void;
}

export interface NativeDatapathOptions {
  readonly workers?: number;
  readonly flowMax?: number;
  readonly exactMax?: number;
  /** Connections of all workers. */
  readonly connectionMax?: number;
  /** When TCP connections are picked up in the middle. */
  readonly tcpPickUp?: 'always' | 'after_start' | 'never';
  readonly smallFrames?: number;
  readonly largeFrames?: number;
  readonly spinUs?: number;
  readonly upcallRingBytes?: number;
  /** Workers without threads: runOnce() drives them (tests, benches). */
  readonly manual?: boolean;
}

/** An in-process datapath in manual or threaded mode, with memory ports for tests and benches. */
export interface LocalDatapath extends NativeDatapath {
  /** Manual mode: one breath of one worker; true if it did something. */
  runOnce(worker: number): boolean;
  /** Where a tunnel leaves (null: unresolved, `why` says why); no resolver does it here. */
  setNextHop(tunnel: number, hop: NativeNextHop | null, why?: string): void;
  /** Puts a frame into a memory port, as if received. Offload fields as in virtio_net_hdr. */
  inject(port: number, frame: Uint8Array, offload?: NativeOffload): void;
  /** Frames that left by a memory port since the last call. */
  collect(port: number): { frame: Uint8Array; offload: NativeOffload }[];
}

/** The way to a remote VTEP. */
export interface NativeNextHop {
  readonly uplinkPort: number;
  readonly sourceMac: string;
  readonly targetMac: string;
  /** Underlay MTU, L3 bytes. */
  readonly mtu: number;
  /** Underlay VLAN; 0 or absent: none. */
  readonly vlan?: number;
}

export interface NativeOffload {
  readonly needsChecksum?: boolean;
  readonly dataValid?: boolean;
  readonly checksumStart?: number;
  readonly checksumOffset?: number;
  /** virtio_net_hdr gso_type: 0 none, 1 TCPv4, 4 TCPv6, 5 UDP. */
  readonly gsoType?: number;
  readonly gsoSize?: number;
}

/** What `require('vtep.node')` gives. */
export interface NativeAddon {
  /** Constants and offsets of layout.h, limits.h, flow_key.h by name, to compare with layout.ts. */
  layout(): Record<string, number>;
  dropReasons(): { name: string; help: string }[];
  portCounters(): { name: string; help: string }[];
  workerCounters(): { name: string; help: string }[];
  /** A datapath inside this process. */
  createDatapath(options: NativeDatapathOptions): LocalDatapath;
  /** Attaches to the datapath process behind a unix socket. Throws ERR_DATAPATH_CLOSED, ERR_BUSY,
   * ERR_PROTOCOL. */
  attachDatapath(socketPath: string): NativeDatapath;
  /**
   * The datapath process: serves `socketPath` and calls `stopped` once when SIGTERM-like `stop()`
   * has finished. Control socket, netlink and workers are native threads; no JavaScript runs after
   * this.
   */
  serveDatapath(
    socketPath: string,
    options: NativeDatapathOptions,
    stopped: () => void,
  ): { stop(): void };
}
