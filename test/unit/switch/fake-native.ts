// switch/fake-native.ts — a data path that keeps what it is told in lists, and notes each call.
//
// Its memory is a region like the real one's, with one worker and small rings, so that what reads
// counters, flows and events reads them as ever. Devices are there unless `missing` names them.

import {
  eventKind,
  eventRecord,
  flowSlot,
  flowStats,
  limits,
  recordKind,
  regionHeader,
  ringHeader,
  upcallRecord,
} from '../../../src/datapath/layout.ts';
import { type RegionMemory, regionMemory, ringWord } from '../../../src/datapath/memory.ts';
import type * as native from '../../../src/datapath/native.ts';
import { SwitchError } from '../../../src/lib/errors.ts';

const flowMax = 16;
const ringBytes = 1 << 16;

/** An empty region of one worker. */
function makeRegion(): ArrayBuffer {
  const parts = [
    [regionHeader.flowsOffset, flowMax * flowSlot.size],
    [regionHeader.statsOffset, flowMax * flowStats.size],
    [regionHeader.countersOffset, limits.workerCounterMax * 8],
    [regionHeader.portsOffset, limits.portMax * limits.portCounterMax * 8],
    [regionHeader.dropsOffset, limits.portMax * limits.dropReasonMax * 8],
    [regionHeader.ringsOffset, 3 * (ringHeader.size + ringBytes)],
  ] as const;
  const begin = 512;
  const bytes = parts.reduce((sum, [, size]) => sum + size, begin);
  const buffer = new ArrayBuffer(bytes);
  const view = new DataView(buffer);
  const word = (offset: number, value: number) => view.setUint32(offset, value, true);
  word(regionHeader.magic, limits.layoutMagic);
  word(regionHeader.version, limits.layoutVersion);
  view.setBigUint64(regionHeader.bytes, BigInt(bytes), true);
  word(regionHeader.workerCount, 1);
  word(regionHeader.flowMax, flowMax);
  for (const field of ['upcallRingBytes', 'commandRingBytes', 'eventRingBytes'] as const) {
    word(regionHeader[field], ringBytes);
  }
  word(regionHeader.datapathPid, 4711);
  view.setBigUint64(regionHeader.ringStride, BigInt(3 * (ringHeader.size + ringBytes)), true);
  let offset = begin;
  for (const [field, size] of parts) {
    view.setBigUint64(field, BigInt(offset), true);
    offset += size;
  }
  return buffer;
}

const status: native.NativePortStatus = {
  kind: 'af_packet',
  mode: 'af_packet',
  why: 'a test',
  ifindex: 7,
  mtu: 1500,
  linkUp: true,
  mac: '02:00:00:00:00:99',
};

/** A captured packet, as a worker would write it down. */
export interface FakeCapture {
  readonly port: number;
  readonly packet: Uint8Array;
  readonly out?: boolean;
  readonly verdict?: number;
  readonly dropReason?: number;
  readonly otherPort?: number;
  readonly flow?: number;
}

export class FakeNative implements native.NativeDatapath {
  readonly memory = makeRegion();
  readonly region: RegionMemory = regionMemory(this.memory);
  readonly workerCount = 1;
  /** "addPort 1", "setTunnel 2", ... in order; calls that only read are left out. */
  readonly calls: string[] = [];
  /** Devices that are not there, and with which code. */
  readonly missing = new Map<string, 'ERR_DEVICE_NOT_FOUND' | 'ERR_DATAPATH_CLOSED' | 'EODD'>();
  readonly ports = new Map<number, native.NativePort>();
  readonly tunnels = new Map<number, native.NativeTunnelStatus>();
  readonly groups = new Map<number, native.NativeGroup>();
  networks: readonly native.NativeNetwork[] = [];
  endpoints: readonly native.NativeEndpoint[] = [];
  wake: () => void = () => undefined;
  gone: () => void = () => undefined;
  closed = false;

  /** The calls since the last time. */
  take(): string[] {
    return this.calls.splice(0);
  }

  addPort(config: native.NativePortConfig): native.NativePortStatus {
    const code = this.missing.get(config.device ?? '');
    if (code === 'EODD') throw new Error('odd');
    if (code !== undefined) throw new SwitchError(code, `no ${config.device}`);
    this.calls.push(`addPort ${config.number}`);
    this.ports.set(config.number, { ...config, status });
    return status;
  }
  removePort(number: number): void {
    this.calls.push(`removePort ${number}`);
    this.ports.delete(number);
  }
  listPorts(): native.NativePort[] {
    return [...this.ports.values()];
  }
  /** The device of a port is deleted under it. */
  vanish(number: number): void {
    const port = this.ports.get(number);
    if (port !== undefined) this.ports.set(number, { ...port, status: { ...status, ifindex: 0 } });
  }

  setEndpoints(endpoints: readonly native.NativeEndpoint[]): void {
    this.calls.push('setEndpoints');
    this.endpoints = endpoints;
  }
  listEndpoints(): native.NativeEndpoint[] {
    return [...this.endpoints];
  }
  setNetworks(networks: readonly native.NativeNetwork[]): void {
    this.calls.push(`setNetworks ${networks.map(({ vni }) => vni).join()}`);
    this.networks = networks;
  }
  /** In another order than they were set: nothing may depend on it. */
  listNetworks(): native.NativeNetwork[] {
    return [...this.networks].reverse();
  }
  setTunnel(tunnel: native.NativeTunnel): void {
    this.calls.push(`setTunnel ${tunnel.number}`);
    const hop = { uplinkPort: 0, sourceMac: '', targetMac: '', mtu: 0 };
    this.tunnels.set(tunnel.number, { ...tunnel, ...hop, resolved: false, why: 'no route' });
  }
  removeTunnel(number: number): void {
    this.calls.push(`removeTunnel ${number}`);
    this.tunnels.delete(number);
  }
  listTunnels(): native.NativeTunnelStatus[] {
    return [...this.tunnels.values()];
  }
  setGroups(groups: readonly native.NativeGroup[]): void {
    this.calls.push(`setGroups ${groups.map(({ number }) => number).join(' ')}`);
    for (const group of groups) this.groups.set(group.number, group);
  }
  removeGroups(numbers: readonly number[]): void {
    this.calls.push(`removeGroups ${numbers.join(' ')}`);
    for (const number of numbers) this.groups.delete(number);
  }
  listGroups(): native.NativeGroup[] {
    return [...this.groups.values()];
  }
  setMeter(number: number, { rate, burst }: native.NativeMeter): void {
    this.calls.push(`setMeter ${number} ${rate} ${burst}`);
  }
  removeMeter(number: number): void {
    this.calls.push(`removeMeter ${number}`);
  }
  setZone(port: number, vni: number, zone: number, vlan: number): void {
    this.calls.push(`setZone ${vni === 0 ? `port ${port} vlan ${vlan}` : `vni ${vni}`} ${zone}`);
  }
  setCapture(port: number, on: boolean): void {
    this.calls.push(`setCapture ${port} ${on ? 'on' : 'off'}`);
  }

  /** Something to answer, without a question: an upcall record that only fills the ring. */
  showPad(): void {
    const { header, words } = this.region.workers[0]!.upcalls;
    words[upcallRecord.recordBytes / 4] = 64;
    words[upcallRecord.kind / 4] = recordKind.Pad;
    header[ringWord.produced] = 64;
  }
  giveVerdicts(): void {}
  commandRoom(): number {
    return ringBytes;
  }
  giveCommands(): void {}
  takeEvents(): number {
    const { header } = this.#events;
    return ((header[ringWord.produced] ?? 0) - (header[ringWord.consumed] ?? 0)) >>> 0;
  }
  freeEvents(_worker: number, bytes: number): void {
    const { header } = this.#events;
    header[ringWord.consumed] = ((header[ringWord.consumed] ?? 0) + bytes) >>> 0;
  }
  /** A worker writes a captured packet into its event ring. */
  captured({ port, packet, out = false, ...rest }: FakeCapture): void {
    const { header, words, bytes, capacity } = this.#events;
    const produced = header[ringWord.produced] ?? 0;
    const base = produced & (capacity - 1);
    const size = eventRecord.size + ((packet.length + 63) & ~63);
    const fields = {
      recordBytes: size,
      kind: out ? eventKind.CaptureTx : eventKind.CaptureRx,
      port,
      packetBytes: packet.length,
      originalBytes: packet.length,
      ...{ flow: 0, verdict: 0, dropReason: 0, otherPort: 0, timeNs: 1, ...rest },
    };
    for (const [name, value] of Object.entries(fields)) {
      words[(base + eventRecord[name as keyof typeof fields]) / 4] = value;
    }
    bytes.set(packet, base + eventRecord.size);
    header[ringWord.produced] = produced + size;
  }

  onDoorbell(wake: () => void): void {
    this.wake = wake;
  }
  onGone(gone: () => void): void {
    this.gone = gone;
  }
  close(): void {
    this.closed = true;
  }

  get #events() {
    const [worker] = this.region.workers;
    if (worker === undefined) throw new Error('the region has one worker');
    return worker.events;
  }
}
