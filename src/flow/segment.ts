// flow/segment.ts — a TCP segment to the one who sends packets of a key, as if from their receiver.
//
// Sources: RFC 9293 section 3.1; RFC 791, 8200; RFC 1071 for the checksum.

import { ethType, field, getBytes, getNumber, ipProto, isZero } from './key.ts';

const tcpHeaderBytes = 20;
const ack = 0x10;
const timeToLive = 64;

/**
 * An acknowledgement without data, of sequence number `sequence` and acknowledging nothing. The key
 * is that of an IPv4 or IPv6 TCP packet; MACs, VLAN tags, addresses and ports are turned around.
 */
export function segmentBack(key: Uint32Array, sequence: number): Uint8Array {
  const six = getNumber(key, 0, field.eth_type) === ethType.ipv6;
  const source = getBytes(key, 0, six ? field.ipv6_dst : field.ip_dst);
  const destination = getBytes(key, 0, six ? field.ipv6_src : field.ip_src);
  const tcp = new Uint8Array(tcpHeaderBytes);
  const words = new DataView(tcp.buffer);
  words.setUint16(0, getNumber(key, 0, field.tp_dst));
  words.setUint16(2, getNumber(key, 0, field.tp_src));
  words.setUint32(4, sequence >>> 0);
  words.setUint8(12, (tcpHeaderBytes / 4) << 4);
  words.setUint8(13, ack);
  words.setUint16(16, checksumOf(source, destination, [0, ipProto.tcp, 0, tcp.length], tcp));
  const ip = six ? ipv6Header(source, destination) : ipv4Header(source, destination);
  return Uint8Array.from([...ethernetBack(key), ...ip, ...tcp]);
}

function ethernetBack(key: Uint32Array): number[] {
  const tags = [field.vlan_tci, field.vlan_tci2].filter((entry) => !isZero(key, 0, entry));
  const types = tags.map((entry, index) => {
    const type = index === 0 && tags.length > 1 ? ethType.qinq : ethType.vlan;
    return [...bytes16(type), ...bytes16(getNumber(key, 0, entry) & 0xfff)];
  });
  return [
    ...getBytes(key, 0, field.eth_src),
    ...getBytes(key, 0, field.eth_dst),
    ...types.flat(),
    ...getBytes(key, 0, field.eth_type),
  ];
}

function ipv4Header(source: Uint8Array, destination: Uint8Array): Uint8Array {
  const length = bytes16(20 + tcpHeaderBytes);
  const header = Uint8Array.of(0x45, 0, ...length, 0, 0, 0x40, 0, timeToLive, ipProto.tcp, 0, 0);
  const whole = Uint8Array.from([...header, ...source, ...destination]);
  new DataView(whole.buffer).setUint16(10, checksumOf(whole));
  return whole;
}

function ipv6Header(source: Uint8Array, destination: Uint8Array): Uint8Array {
  const start = [0x60, 0, 0, 0, ...bytes16(tcpHeaderBytes), ipProto.tcp, timeToLive];
  return Uint8Array.from([...start, ...source, ...destination]);
}

function bytes16(value: number): [number, number] {
  return [value >>> 8, value & 0xff];
}

/** The Internet checksum of parts of even lengths. */
function checksumOf(...parts: readonly ArrayLike<number>[]): number {
  let sum = 0;
  for (const part of parts) {
    for (let at = 0; at < part.length; at += 2) sum += part[at]! * 256 + part[at + 1]!;
  }
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return ~sum & 0xffff;
}
