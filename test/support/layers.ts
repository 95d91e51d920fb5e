// support/layers.ts — one function per protocol header: from readable fields to bytes.
//
// A layer is built after everything inside it, so it knows its payload; what it must know of the
// layers outside (addresses for checksums) comes in `Outside`. Every length, type and checksum is
// computed unless the test gives its own, wrong or right.

import {
  checksum16,
  concat,
  crc32c,
  fromHex,
  ipBytes,
  macBytes,
  pseudoHeader,
  u16,
  u32,
} from './bytes.ts';

/** What a layer hears about its neighbours when it is built. */
export interface Outside {
  /**
   * Addresses of the nearest IP header outside; dst is the final one if a routing header says so.
   */
  source?: Uint8Array;
  destination?: Uint8Array;
  /** How the next inner layer is named by an EtherType and by an IP protocol number. */
  inner: Naming;
}

export interface Naming {
  etherType?: number;
  protocol?: number;
}

export interface Layer {
  naming: Naming;
  /** Addresses that this layer gives to the layers inside it. */
  addresses?: { source: Uint8Array; destination: Uint8Array };
  /** Replaces the destination in the pseudo-header (IPv6 routing header). */
  finalDestination?: Uint8Array;
  build(payload: Uint8Array, outside: Outside): Uint8Array;
}

export type Bytes = Uint8Array | string;

export const ports = { vxlan: 4789, geneve: 6081 };

export interface EthFields {
  src?: string;
  dst?: string;
  type?: number;
}

export function ethLayer(fields: EthFields): Layer {
  return {
    naming: { etherType: 0x6558 },
    build(payload, { inner }) {
      const addresses = [
        macBytes(fields.dst ?? '02:00:00:00:00:02'),
        macBytes(fields.src ?? '02:00:00:00:00:01'),
      ];
      const type = fields.type ?? inner.etherType ?? 0xffff;
      return concat([...addresses, u16(type), payload]);
    },
  };
}

export interface VlanFields {
  id: number;
  priority?: number;
  dei?: boolean;
  /** TPID; 0x8100 by default, 0x88a8 for an outer tag of QinQ. */
  tpid?: number;
  /** The EtherType that follows. */
  type?: number;
}

export function vlanLayer(fields: VlanFields): Layer {
  return {
    naming: { etherType: fields.tpid ?? 0x8100 },
    build(payload, { inner }) {
      const tci = ((fields.priority ?? 0) << 13) | (fields.dei ? 0x1000 : 0) | fields.id;
      return concat([u16(tci, fields.type ?? inner.etherType ?? 0xffff), payload]);
    },
  };
}

export interface ArpFields {
  op?: 'request' | 'reply' | number;
  senderMac?: string;
  senderIp?: string;
  targetMac?: string;
  targetIp?: string;
}

export function arpLayer(fields: ArpFields): Layer {
  const op = fields.op ?? 'request';
  return {
    naming: { etherType: 0x0806 },
    build(payload) {
      return concat([
        u16(1, 0x0800),
        Uint8Array.of(6, 4),
        u16(typeof op === 'number' ? op : op === 'request' ? 1 : 2),
        macBytes(fields.senderMac ?? '02:00:00:00:00:01'),
        ipBytes(fields.senderIp ?? '10.0.0.1'),
        macBytes(fields.targetMac ?? '00:00:00:00:00:00'),
        ipBytes(fields.targetIp ?? '10.0.0.2'),
        payload,
      ]);
    },
  };
}

export interface IpFields {
  src?: string;
  dst?: string;
  ttl?: number;
  /** The whole TOS byte: DSCP << 2 | ECN. */
  tos?: number;
  id?: number;
  df?: boolean;
  mf?: boolean;
  /** In bytes; a multiple of 8. */
  fragmentOffset?: number;
  /** Options as bytes or hexadecimal text; padded with zeros to a multiple of 4. */
  options?: Bytes;
  protocol?: number;
  version?: number;
  /** Header length in 32-bit words. */
  ihl?: number;
  length?: number;
  checksum?: number;
}

export function ipLayer(fields: IpFields): Layer {
  const source = ipBytes(fields.src ?? '10.0.0.1');
  const destination = ipBytes(fields.dst ?? '10.0.0.2');
  return {
    naming: { etherType: 0x0800, protocol: 4 },
    addresses: { source, destination },
    build(payload, { inner }) {
      const options = padded(fields.options ?? '', 4, 0);
      const headerBytes = 20 + options.length;
      const versionIhl = ((fields.version ?? 4) << 4) | (fields.ihl ?? headerBytes / 4);
      const flags = (fields.df ? 0x4000 : 0) | (fields.mf ? 0x2000 : 0);
      const header = concat([
        Uint8Array.of(versionIhl, fields.tos ?? 0),
        u16(fields.length ?? headerBytes + payload.length, fields.id ?? 0),
        u16(flags | ((fields.fragmentOffset ?? 0) >>> 3)),
        Uint8Array.of(fields.ttl ?? 64, fields.protocol ?? inner.protocol ?? 253),
        u16(0),
        source,
        destination,
        options,
      ]);
      header.set(u16(fields.checksum ?? checksum16(header)), 10);
      return concat([header, payload]);
    },
  };
}

export interface Ip6Fields {
  src?: string;
  dst?: string;
  hopLimit?: number;
  /** The whole byte: DSCP << 2 | ECN. */
  trafficClass?: number;
  flowLabel?: number;
  nextHeader?: number;
  version?: number;
  length?: number;
}

export function ip6Layer(fields: Ip6Fields): Layer {
  const source = ipBytes(fields.src ?? 'fd00:10::1');
  const destination = ipBytes(fields.dst ?? 'fd00:10::2');
  return {
    naming: { etherType: 0x86dd, protocol: 41 },
    addresses: { source, destination },
    build(payload, { inner }) {
      const first =
        ((fields.version ?? 6) << 28) |
        ((fields.trafficClass ?? 0) << 20) |
        (fields.flowLabel ?? 0);
      return concat([
        u32(first >>> 0),
        u16(fields.length ?? payload.length),
        Uint8Array.of(fields.nextHeader ?? inner.protocol ?? 59, fields.hopLimit ?? 64),
        source,
        destination,
        payload,
      ]);
    },
  };
}

/**
 * Protocol numbers of IPv6 extension headers with the usual shape: next header, length, content.
 */
export const extensionTypes = { hopByHop: 0, routing: 43, destination: 60, mobility: 135 };

export interface ExtensionFields {
  type: keyof typeof extensionTypes | number;
  /** Content after the first two bytes; padded with PadN to a multiple of 8 in all. */
  content?: Bytes;
  nextHeader?: number;
  /** Length in units of 8 bytes, not counting the first. */
  length?: number;
}

export function extensionLayer(fields: ExtensionFields): Layer {
  const { type } = fields;
  return {
    naming: { protocol: typeof type === 'number' ? type : extensionTypes[type] },
    build(payload, { inner }) {
      const content = paddedOptions(bytesOf(fields.content ?? ''));
      const length = fields.length ?? (content.length + 2) / 8 - 1;
      const next = fields.nextHeader ?? inner.protocol ?? 59;
      return concat([Uint8Array.of(next, length), content, payload]);
    },
  };
}

export interface RoutingFields {
  /** Type 2 (mobility) by default: one address, the home address. */
  type?: number;
  addresses: string[];
  segmentsLeft?: number;
}

export function routingLayer(fields: RoutingFields): Layer {
  const segmentsLeft = fields.segmentsLeft ?? fields.addresses.length;
  const addresses = fields.addresses.map(ipBytes);
  return {
    naming: { protocol: extensionTypes.routing },
    finalDestination: segmentsLeft > 0 ? addresses.at(-1) : undefined,
    build(payload, { inner }) {
      const length = 2 * addresses.length;
      const start = Uint8Array.of(inner.protocol ?? 59, length, fields.type ?? 2, segmentsLeft);
      return concat([start, u32(0), ...addresses, payload]);
    },
  };
}

export interface Fragment6Fields {
  /** In bytes; a multiple of 8. */
  offset?: number;
  more?: boolean;
  id?: number;
  nextHeader?: number;
}

export function fragment6Layer(fields: Fragment6Fields): Layer {
  return {
    naming: { protocol: 44 },
    build(payload, { inner }) {
      const offset = (fields.offset ?? 0) | (fields.more ? 1 : 0);
      const next = Uint8Array.of(fields.nextHeader ?? inner.protocol ?? 59, 0);
      return concat([next, u16(offset), u32(fields.id ?? 0), payload]);
    },
  };
}

export interface UdpFields {
  src?: number;
  dst?: number;
  length?: number;
  /** 0 means that there is none. */
  checksum?: number;
}

export function udpLayer(fields: UdpFields): Layer {
  return {
    naming: { protocol: 17 },
    build(payload, outside) {
      const length = fields.length ?? 8 + payload.length;
      const header = u16(fields.src ?? 1024, fields.dst ?? 20100, length, 0);
      const segment = concat([header, payload]);
      const sum = fields.checksum ?? (transportChecksum(segment, 17, outside) || 0xffff);
      segment.set(u16(sum), 6);
      return segment;
    },
  };
}

export interface TcpFields {
  src?: number;
  dst?: number;
  seq?: number;
  ack?: number;
  /** Letters: F S R P A U E C; "SA" for example. Default "A". */
  flags?: string;
  window?: number;
  urgent?: number;
  options?: TcpOption[];
  /** Header length in 32-bit words. */
  dataOffset?: number;
  checksum?: number;
}

export type TcpOption =
  | { mss: number }
  | { windowScale: number }
  | { sackPermitted: true }
  | { timestamps: [number, number] }
  | { nop: true }
  | { raw: Bytes };

export function tcpOptionBytes(option: TcpOption): Uint8Array {
  if ('mss' in option) return concat([Uint8Array.of(2, 4), u16(option.mss)]);
  if ('windowScale' in option) return Uint8Array.of(3, 3, option.windowScale);
  if ('sackPermitted' in option) return Uint8Array.of(4, 2);
  if ('timestamps' in option) return concat([Uint8Array.of(8, 10), u32(...option.timestamps)]);
  if ('nop' in option) return Uint8Array.of(1);
  return bytesOf(option.raw);
}

export const tcpFlagLetters = 'FSRPAUEC';

export function tcpLayer(fields: TcpFields): Layer {
  const letters = [...(fields.flags ?? 'A')];
  const flags = letters.reduce((bits, letter) => bits | (1 << tcpFlagLetters.indexOf(letter)), 0);
  return {
    naming: { protocol: 6 },
    build(payload, outside) {
      const options = padded(concat((fields.options ?? []).map(tcpOptionBytes)), 4, 0);
      const dataOffset = fields.dataOffset ?? (20 + options.length) / 4;
      const segment = concat([
        u16(fields.src ?? 1024, fields.dst ?? 20100),
        u32(fields.seq ?? 0, fields.ack ?? 0),
        u16((dataOffset << 12) | flags, fields.window ?? 8192, 0, fields.urgent ?? 0),
        options,
        payload,
      ]);
      segment.set(u16(fields.checksum ?? transportChecksum(segment, 6, outside)), 16);
      return segment;
    },
  };
}

export interface IcmpFields {
  type: number;
  code?: number;
  /** The four bytes after the checksum. */
  rest?: number;
  checksum?: number;
}

/** ICMP, or with `version` 6 ICMPv6, whose checksum covers a pseudo-header. */
export function icmpLayer(fields: IcmpFields, version: 4 | 6): Layer {
  return {
    naming: { protocol: version === 4 ? 1 : 58 },
    build(payload, outside) {
      const start = concat([
        Uint8Array.of(fields.type, fields.code ?? 0, 0, 0),
        u32(fields.rest ?? 0),
      ]);
      const message = concat([start, payload]);
      const sum = version === 4 ? checksum16(message) : transportChecksum(message, 58, outside);
      message.set(u16(fields.checksum ?? sum), 2);
      return message;
    },
  };
}

export interface SctpFields {
  src?: number;
  dst?: number;
  tag?: number;
  checksum?: number;
}

export function sctpLayer(fields: SctpFields): Layer {
  return {
    naming: { protocol: 132 },
    build(payload) {
      const ends = u16(fields.src ?? 1024, fields.dst ?? 20100);
      const packet = concat([ends, u32(fields.tag ?? 0, 0), payload]);
      const sum = fields.checksum ?? crc32c(packet);
      new DataView(packet.buffer).setUint32(8, sum, true);
      return packet;
    },
  };
}

export interface VxlanFields {
  vni: number;
  /** Default 0x08: the VNI is valid. */
  flags?: number;
  /** The 24 bits after the flags and the 8 after the VNI. */
  reserved1?: number;
  reserved2?: number;
}

/** RFC 7348 section 5. */
export function vxlanLayer(fields: VxlanFields): Layer {
  return {
    naming: {},
    build(payload) {
      const first = ((fields.flags ?? 0x08) << 24) | (fields.reserved1 ?? 0);
      const second = (fields.vni << 8) | (fields.reserved2 ?? 0);
      return concat([u32(first >>> 0, second >>> 0), payload]);
    },
  };
}

export interface GeneveOption {
  class: number;
  /** Low seven bits; see `critical`. */
  type: number;
  critical?: boolean;
  /** Padded to a multiple of 4. */
  data?: Bytes;
  /** In units of 4 bytes. */
  length?: number;
}

export interface GeneveFields {
  vni: number;
  options?: GeneveOption[];
  oam?: boolean;
  /** The header's C bit; set when an option is critical. */
  critical?: boolean;
  version?: number;
  /** In units of 4 bytes. */
  optionLength?: number;
  /** EtherType of what is inside; 0x6558 for Ethernet. */
  protocol?: number;
}

/** RFC 8926 section 3.4. */
export function geneveLayer(fields: GeneveFields): Layer {
  const list = fields.options ?? [];
  return {
    naming: {},
    build(payload, { inner }) {
      const options = concat(list.map(geneveOptionBytes));
      const critical = fields.critical ?? list.some((option) => option.critical);
      const length = fields.optionLength ?? options.length / 4;
      return concat([
        Uint8Array.of(((fields.version ?? 0) << 6) | length),
        Uint8Array.of((fields.oam ? 0x80 : 0) | (critical ? 0x40 : 0)),
        u16(fields.protocol ?? inner.etherType ?? 0x6558),
        u32((fields.vni << 8) >>> 0),
        options,
        payload,
      ]);
    },
  };
}

/** RFC 8926 section 3.5. */
export function geneveOptionBytes(option: GeneveOption): Uint8Array {
  const data = padded(option.data ?? '', 4, 0);
  const type = option.type | (option.critical ? 0x80 : 0);
  const length = option.length ?? data.length / 4;
  return concat([u16(option.class), Uint8Array.of(type, length), data]);
}

export function rawLayer(bytes: Uint8Array, naming: Naming = {}): Layer {
  return { naming, build: (payload) => concat([bytes, payload]) };
}

function transportChecksum(segment: Uint8Array, protocol: number, outside: Outside): number {
  const { source, destination } = outside;
  if (!source || !destination) return 0;
  const pseudo = pseudoHeader(source, destination, protocol, segment.length);
  return checksum16(concat([pseudo, segment]));
}

export function bytesOf(bytes: Bytes): Uint8Array {
  return typeof bytes === 'string' ? fromHex(bytes) : bytes;
}

function padded(bytes: Bytes, unit: number, fill: number): Uint8Array {
  const content = bytesOf(bytes);
  const missing = (unit - (content.length % unit)) % unit;
  return concat([content, new Uint8Array(missing).fill(fill)]);
}

/** Pads IPv6 options so that with the first two bytes of the header they fill a multiple of 8. */
function paddedOptions(content: Uint8Array): Uint8Array {
  const missing = (8 - ((content.length + 2) % 8)) % 8;
  if (missing === 0) return content;
  if (missing === 1) return concat([content, Uint8Array.of(0)]);
  return concat([content, Uint8Array.of(1, missing - 2), new Uint8Array(missing - 2)]);
}
