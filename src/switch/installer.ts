// switch/installer.ts — makes the objects of the data path what the compiled document wants.
//
// Compares with what the data path itself lists, so that a new vtepd, a restarted data path and an
// ordinary apply are one case. A port that cannot be had now (its device is missing or busy) waits
// and is tried again; the others go on. Two steps, since flows may refer to what is to go: put()
// before the flows are revalidated, remove() after.

import { networkInterfaces } from 'node:os';
import type {
  NativeDatapath,
  NativeGroup,
  NativePort,
  NativePortConfig,
  NativePortStatus,
  NativeTunnel,
} from '../datapath/native.ts';
import { isErrorCode, SwitchError } from '../lib/errors.ts';
import type { Config } from '../model/config.ts';
import type {
  DatapathObjects,
  GroupObject,
  PortObject,
  TunnelObject,
  ZoneObject,
} from '../rules/objects.ts';
import type { MeterObject } from '../rules/qos.ts';

/** A device that has no port now, and why. */
export interface WaitingPort {
  readonly device: string;
  readonly code: string;
  readonly why: string;
}

/** Waiting entries of tunnel addresses that no device carries. */
const uplinkPrefix = 'tunnel address ';

/** The number of a device port. */
export type UplinkNumber = (device: string) => number;

export class Installer {
  readonly #datapath: NativeDatapath;
  readonly #config: Config;
  readonly #numberOf: UplinkNumber;
  readonly #waiting = new Map<string, WaitingPort>();
  #wantedPorts: readonly NativePortConfig[] = [];
  #wanted: DatapathObjects | undefined;
  /** Zones that were set. The data path lists none; setting one again changes nothing there. */
  readonly #zones = new Map<string, ZoneObject>();
  /** Likewise meters. */
  readonly #meters = new Map<string, MeterObject>();

  constructor(datapath: NativeDatapath, config: Config, numberOf: UplinkNumber) {
    this.#datapath = datapath;
    this.#config = config;
    this.#numberOf = numberOf;
  }

  /** Devices without a port now. */
  get waiting(): readonly WaitingPort[] {
    return [...this.#waiting.values()];
  }

  /** Adds what is missing, replaces what differs; removes only ports whose number would clash. */
  put(wanted: DatapathObjects): void {
    this.#wanted = wanted;
    const { tunnel } = this.#config;
    const endpoints = wanted.endpoints.map((address) => ({
      address,
      vxlanPort: tunnel.port,
      genevePort: tunnel.genevePort,
    }));
    if (!same(this.#datapath.listEndpoints(), endpoints)) this.#datapath.setEndpoints(endpoints);
    this.#putNetworks(wanted, true);
    this.#putMeters(wanted);
    this.putPorts();
    const tunnels = byNumber(this.#datapath.listTunnels());
    for (const object of wanted.tunnels.values()) {
      const native = this.#tunnel(object);
      if (!covers(tunnels.get(object.number), native)) this.#datapath.setTunnel(native);
    }
    const groups = byNumber(this.#datapath.listGroups());
    const differ = [...wanted.groups.values()]
      .map(group)
      .filter(({ number, members }) => !same(groups.get(number)?.members, members));
    if (differ.length > 0) this.#datapath.setGroups(differ);
  }

  /** Removes what nothing wants; to be called when no flow refers to it any more. */
  remove(): void {
    const wanted = this.#wanted;
    if (wanted === undefined) return;
    for (const [name, { port, vni, vlan }] of this.#zones) {
      if (wanted.zones.has(name)) continue;
      this.#datapath.setZone(port, vni, 0, vlan);
      this.#zones.delete(name);
    }
    for (const [name, { number }] of this.#meters) {
      if (wanted.meters.has(name)) continue;
      this.#datapath.removeMeter(number);
      this.#meters.delete(name);
    }
    this.#putNetworks(wanted, false);
    const groups = new Set([...wanted.groups.values()].map(({ number }) => number));
    const unused = this.#datapath
      .listGroups()
      .map(({ number }) => number)
      .filter((number) => !groups.has(number));
    if (unused.length > 0) this.#datapath.removeGroups(unused);
    const tunnels = new Set([...wanted.tunnels.values()].map(({ number }) => number));
    for (const { number } of this.#datapath.listTunnels()) {
      if (!tunnels.has(number)) this.#datapath.removeTunnel(number);
    }
    const ports = new Set(this.#wantedPorts.map(({ number }) => number));
    for (const { number } of this.#datapath.listPorts()) {
      if (!ports.has(number)) this.#removePort(number);
    }
  }

  /**
   * Opens the ports that are wanted and not there, and reopens those whose device went and came
   * back. Returns whether anything changed.
   */
  putPorts(): boolean {
    if (this.#wanted === undefined) return false;
    const access = [...this.#wanted.ports.values()].map(accessPort);
    this.#wantedPorts = [...this.#uplinks(this.#wanted), ...access];
    let changed = false;
    const there = byNumber(this.#datapath.listPorts());
    for (const port of this.#wantedPorts) {
      const installed = there.get(port.number);
      if (installed !== undefined && samePort(installed, port) && !gone(installed.status)) {
        this.#waiting.delete(port.name);
        continue;
      }
      if (installed !== undefined) this.#removePort(port.number);
      changed = this.#tryPort(port) || changed || installed !== undefined;
    }
    this.#putZones(this.#wanted);
    const wanted = new Set(this.#wantedPorts.map(({ name }) => name));
    for (const name of this.#waiting.keys()) {
      if (!wanted.has(name) && !name.startsWith(uplinkPrefix)) this.#waiting.delete(name);
    }
    return changed;
  }

  /** The zones of a port go with it. */
  #removePort(number: number): void {
    this.#datapath.removePort(number);
    for (const [name, { port }] of this.#zones) if (port === number) this.#zones.delete(name);
  }

  #putZones({ zones }: DatapathObjects): void {
    for (const [name, zone] of zones) {
      if (same(this.#zones.get(name), zone)) continue;
      this.#datapath.setZone(zone.port, zone.vni, zone.zone, zone.vlan);
      this.#zones.set(name, zone);
    }
  }

  #putMeters({ meters }: DatapathObjects): void {
    for (const [name, meter] of meters) {
      if (same(this.#meters.get(name), meter)) continue;
      const { number, rate, burst } = meter;
      this.#datapath.setMeter(number, { rate, burst, packets: false });
      this.#meters.set(name, meter);
    }
  }

  #tryPort(port: NativePortConfig): boolean {
    try {
      this.#datapath.addPort(port);
      this.#waiting.delete(port.name);
      return true;
    } catch (error) {
      const { code, message } = error as { code?: unknown; message: string };
      if (!isErrorCode(code)) throw error;
      if (code === 'ERR_DATAPATH_CLOSED') throw new SwitchError(code, message, { cause: error });
      this.#waiting.set(port.name, { device: port.name, code, why: message });
      return false;
    }
  }

  /** With `keep`, networks that are there already stay, since flows may still use them. */
  #putNetworks(wanted: DatapathObjects, keep: boolean): void {
    const installed = this.#datapath.listNetworks();
    const networks = new Map([...wanted.networks.values()].map((one) => [one.vni, one]));
    if (keep) {
      for (const one of installed) if (!networks.has(one.vni)) networks.set(one.vni, one);
    }
    const sorted = [...networks.values()].sort((a, b) => a.vni - b.vni);
    const present = [...installed].sort((a, b) => a.vni - b.vni);
    if (!same(present, sorted)) this.#datapath.setNetworks(sorted);
  }

  #tunnel({ number, encap, local, remote }: TunnelObject): NativeTunnel {
    const { port, genevePort } = this.#config.tunnel;
    return { number, encap, local, remote, udpPort: encap === 'vxlan' ? port : genevePort };
  }

  /** The underlay devices: the configured one, or those that carry our tunnel addresses. */
  #uplinks({ endpoints, tunnels }: DatapathObjects): NativePortConfig[] {
    const { device, mode, port, genevePort } = this.#config.tunnel;
    for (const name of this.#waiting.keys()) {
      if (name.startsWith(uplinkPrefix)) this.#waiting.delete(name);
    }
    if (tunnels.size === 0) return [];
    const carried = device === undefined ? carriersOf(endpoints) : [];
    const devices =
      device === undefined ? [...new Set(carried.map((one) => one.device))] : [device];
    for (const address of endpoints) {
      if (device !== undefined || carried.some((one) => one.address === address)) continue;
      const name = `${uplinkPrefix}${address}`;
      this.#waiting.set(name, {
        device: name,
        code: 'ERR_DEVICE_NOT_FOUND',
        why: 'no device of this host has it: add it to one, or set tunnel.device',
      });
    }
    return devices.map((name) => ({
      number: this.#numberOf(name),
      name,
      device: name,
      kind: mode,
      uplink: true,
      vxlanPort: port,
      genevePort,
    }));
  }
}

/** Which device carries which of the addresses. */
function carriersOf(addresses: readonly string[]): { device: string; address: string }[] {
  return Object.entries(networkInterfaces()).flatMap(([device, list]) =>
    (list ?? [])
      .filter(({ address }) => addresses.includes(address))
      .map(({ address }) => ({ device, address })),
  );
}

function accessPort({ number, device, mode }: PortObject): NativePortConfig {
  return { number, name: device, device, kind: mode };
}

function group({ number, members }: GroupObject): NativeGroup {
  return { number, members: members.map((member) => ({ ...member })) };
}

function samePort(installed: NativePort, wanted: NativePortConfig): boolean {
  return (
    installed.device === wanted.device &&
    installed.kind === wanted.kind &&
    (installed.uplink ?? false) === (wanted.uplink ?? false)
  );
}

/** The device went away under the port. */
function gone({ kind, ifindex }: NativePortStatus): boolean {
  return ifindex === 0 && kind !== 'memory' && kind !== 'pcap' && kind !== 'tap';
}

function byNumber<Value extends { readonly number: number }>(
  list: readonly Value[],
): Map<number, Value> {
  return new Map(list.map((value) => [value.number, value]));
}

/** Whether `installed` has every field of `wanted` with the same value. */
function covers(installed: object | undefined, wanted: object): boolean {
  if (installed === undefined) return false;
  const there = installed as Record<string, unknown>;
  return Object.entries(wanted).every(([field, value]) => there[field] === value);
}

/** Plain data is equal when its JSON is, fields in one order. */
function same(one: unknown, other: unknown): boolean {
  return canonical(one) === canonical(other);
}

function canonical(value: unknown): string {
  return JSON.stringify(value, (_key, entry: unknown) =>
    entry !== null && typeof entry === 'object' && !Array.isArray(entry)
      ? Object.fromEntries(Object.entries(entry).sort(([a], [b]) => (a < b ? -1 : 1)))
      : entry,
  );
}
