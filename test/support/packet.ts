// support/packet.ts — packets as tests write them: eth().vlan(10).ip().udp({ dst: 53 }).build().
//
// A Packet is immutable: each method returns a longer one, so a common beginning can be shared.
// Lengths, types and checksums are right unless a field overrides them. After .vxlan() or .geneve()
// follows the inner .eth().

import { checksum16, concat, ipBytes, macBytes, u16 } from './bytes.ts';
import { describe, differences } from './dissect.ts';
import type { Layer } from './layers.ts';
import * as layers from './layers.ts';

export { fromHex, toHex } from './bytes.ts';
export { describe, dissect } from './dissect.ts';

export class Packet {
  #layers: readonly Layer[];

  constructor(list: readonly Layer[] = []) {
    this.#layers = list;
  }

  #with(layer: Layer): Packet {
    return new Packet([...this.#layers, layer]);
  }

  eth(fields: layers.EthFields = {}) {
    return this.#with(layers.ethLayer(fields));
  }

  /** An 802.1Q tag: its number, or all its fields. */
  vlan(tag: number | layers.VlanFields) {
    return this.#with(layers.vlanLayer(typeof tag === 'number' ? { id: tag } : tag));
  }

  /** An 802.1ad tag (TPID 0x88a8), the outer one of two. */
  serviceVlan(id: number) {
    return this.#with(layers.vlanLayer({ id, tpid: 0x88a8 }));
  }

  arp(fields: layers.ArpFields = {}) {
    return this.#with(layers.arpLayer(fields));
  }

  ip(fields: layers.IpFields = {}) {
    return this.#with(layers.ipLayer(fields));
  }

  ip6(fields: layers.Ip6Fields = {}) {
    return this.#with(layers.ip6Layer(fields));
  }

  /** An IPv6 extension header: hop-by-hop, destination options or any number of the same shape. */
  extension(fields: layers.ExtensionFields) {
    return this.#with(layers.extensionLayer(fields));
  }

  routing(fields: layers.RoutingFields) {
    return this.#with(layers.routingLayer(fields));
  }

  fragment6(fields: layers.Fragment6Fields = {}) {
    return this.#with(layers.fragment6Layer(fields));
  }

  udp(fields: layers.UdpFields = {}) {
    return this.#with(layers.udpLayer(fields));
  }

  tcp(fields: layers.TcpFields = {}) {
    return this.#with(layers.tcpLayer(fields));
  }

  icmp(fields: layers.IcmpFields) {
    return this.#with(layers.icmpLayer(fields, 4));
  }

  /** An echo request, or with `reply` its answer. */
  echo({ id = 1, seq = 1, reply = false } = {}) {
    return this.icmp({ type: reply ? 0 : 8, rest: ((id << 16) | seq) >>> 0 });
  }

  icmp6(fields: layers.IcmpFields) {
    return this.#with(layers.icmpLayer(fields, 6));
  }

  echo6({ id = 1, seq = 1, reply = false } = {}) {
    return this.icmp6({ type: reply ? 129 : 128, rest: ((id << 16) | seq) >>> 0 });
  }

  /** A neighbour solicitation (RFC 4861 section 4.3) with its source link-layer address option. */
  neighborSolicit(fields: { target: string; mac?: string }) {
    const option = fields.mac ? linkLayerOption(1, fields.mac) : new Uint8Array();
    return this.icmp6({ type: 135 }).raw(concat([ipBytes(fields.target), option]));
  }

  /** A neighbour advertisement (section 4.4); flags of R, S and O, "SO" by default. */
  neighborAdvert(fields: { target: string; mac?: string; flags?: string }) {
    const option = fields.mac ? linkLayerOption(2, fields.mac) : new Uint8Array();
    const letters = [...(fields.flags ?? 'SO')];
    const bits = letters.reduce((sum, letter) => sum | (4 >> 'RSO'.indexOf(letter)), 0);
    const rest = (bits << 29) >>> 0;
    return this.icmp6({ type: 136, rest }).raw(concat([ipBytes(fields.target), option]));
  }

  sctp(fields: layers.SctpFields = {}) {
    return this.#with(layers.sctpLayer(fields));
  }

  /** One SCTP chunk with its length, padded to 4 bytes. */
  sctpChunk(fields: { type: number; flags?: number; value?: Uint8Array }) {
    const value = fields.value ?? new Uint8Array();
    const padding = new Uint8Array((4 - (value.length % 4)) % 4);
    const start = Uint8Array.of(fields.type, fields.flags ?? 0);
    return this.raw(concat([start, u16(4 + value.length), value, padding]));
  }

  vxlan(fields: number | layers.VxlanFields) {
    return this.#with(layers.vxlanLayer(typeof fields === 'number' ? { vni: fields } : fields));
  }

  geneve(fields: number | layers.GeneveFields) {
    return this.#with(layers.geneveLayer(typeof fields === 'number' ? { vni: fields } : fields));
  }

  /** Bytes as they are; may be followed by more. */
  raw(bytes: layers.Bytes) {
    return this.#with(layers.rawLayer(layers.bytesOf(bytes)));
  }

  /** Text, bytes, or a number of bytes that count up. */
  payload(content: string | Uint8Array | number) {
    return this.#with(layers.rawLayer(payloadBytes(content)));
  }

  /** Appends another packet's layers, for example an inner frame made elsewhere. */
  carry(inner: Packet) {
    return new Packet([...this.#layers, ...inner.#layers]);
  }

  build(): Uint8Array {
    return this.#buildFrom(0, {});
  }

  /** The first bytes of the packet, for tests of truncation. */
  truncated(bytes: number): Uint8Array {
    return this.build().subarray(0, bytes);
  }

  #buildFrom(
    index: number,
    addresses: { source?: Uint8Array; destination?: Uint8Array },
  ): Uint8Array {
    const layer = this.#layers[index];
    if (!layer) return new Uint8Array();
    const inside = { ...(layer.addresses ?? addresses) };
    if (layer.finalDestination) inside.destination = layer.finalDestination;
    const payload = this.#buildFrom(index + 1, inside);
    return layer.build(payload, { ...addresses, inner: this.#layers[index + 1]?.naming ?? {} });
  }
}

function linkLayerOption(type: number, mac: string) {
  return concat([Uint8Array.of(type, 1), macBytes(mac)]);
}

function payloadBytes(content: string | Uint8Array | number): Uint8Array {
  if (typeof content === 'string') return new TextEncoder().encode(content);
  if (typeof content === 'number') return Uint8Array.from({ length: content }, (_, i) => i & 0xff);
  return content;
}

/** A frame; every packet on an Ethernet port begins with it. */
export function eth(fields: layers.EthFields = {}): Packet {
  return new Packet().eth(fields);
}

/** An empty packet, for what begins with an IP header. */
export function packet(): Packet {
  return new Packet();
}

/**
 * Cuts an Ethernet frame with IPv4 into fragments whose IP packets fit an MTU (RFC 791 section
 * 3.2). The frame may have VLAN tags. The last fragment has no MF bit; offsets are multiples of 8.
 */
export function fragment4(frame: Uint8Array, mtu: number): Uint8Array[] {
  const start = networkOffset(frame);
  const ihl = (frame[start] & 15) * 4;
  const total = (frame[start + 2] << 8) | frame[start + 3];
  const content = frame.subarray(start + ihl, start + total);
  const step = Math.floor((mtu - ihl) / 8) * 8;
  const pieces: Uint8Array[] = [];
  for (let at = 0; at < content.length; at += step) {
    const piece = content.subarray(at, at + step);
    const header = frame.slice(start, start + ihl);
    const more = at + step < content.length ? 0x2000 : 0;
    header.set(u16(ihl + piece.length), 2);
    header.set(u16(more | (at >>> 3)), 6);
    header.set(u16(0), 10);
    header.set(u16(checksum16(header)), 10);
    pieces.push(concat([frame.subarray(0, start), header, piece]));
  }
  return pieces;
}

/**
 * Cuts an Ethernet frame with IPv6 (no extension headers yet) into fragments with a fragment
 * header.
 */
export function fragment6(frame: Uint8Array, mtu: number, id = 1): Uint8Array[] {
  const start = networkOffset(frame);
  const content = frame.subarray(start + 40);
  const step = Math.floor((mtu - 48) / 8) * 8;
  const pieces: Uint8Array[] = [];
  for (let at = 0; at < content.length; at += step) {
    const piece = content.subarray(at, at + step);
    const header = frame.slice(start, start + 40);
    const more = at + step < content.length;
    const fields = { offset: at, more, id, nextHeader: header[6] };
    const fragment = layers.fragment6Layer(fields).build(piece, { inner: {} });
    header.set(u16(fragment.length), 4);
    header[6] = 44;
    pieces.push(concat([frame.subarray(0, start), header, fragment]));
  }
  return pieces;
}

function networkOffset(frame: Uint8Array): number {
  let at = 12;
  while ([0x8100, 0x88a8].includes((frame[at] << 8) | frame[at + 1])) at += 4;
  return at + 2;
}

/**
 * Throws unless the bytes are the same; the message lists the fields that differ, then both packets
 * and the offset of the first different byte.
 */
export function expectPacket(actual: Uint8Array | undefined, expected: Uint8Array | Packet) {
  const wanted = expected instanceof Packet ? expected.build() : expected;
  if (!actual) throw new Error(`no packet; expected\n${describe(wanted)}`);
  if (Buffer.from(actual).equals(wanted)) return;
  const first = wanted.findIndex((byte, at) => byte !== actual[at]);
  throw new Error(
    [
      'the packet is not the expected one:',
      ...differences(actual, wanted).map((line) => `  ${line}`),
      `first different byte: ${first < 0 ? wanted.length : first}`,
      `actual (${actual.length} bytes):\n${describe(actual)}`,
      `expected (${wanted.length} bytes):\n${describe(wanted)}`,
    ].join('\n'),
  );
}
