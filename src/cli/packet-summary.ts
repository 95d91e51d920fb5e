// cli/packet-summary.ts — one line about a packet: enough to follow a conversation, no more.
//
// For the eye only: Ethernet, VLAN, ARP, IPv4, IPv6, TCP, UDP, ICMP, and what is inside VXLAN and
// Geneve on their usual ports. Whoever needs all of it writes a file and asks tshark.

import { Buffer } from 'node:buffer';
import type { CapturedPacket } from '../control/pcapng.ts';
import { formatIp, formatMac } from '../lib/addresses.ts';

export interface PacketSummary {
  /** Nanoseconds of the Unix epoch, as text: JSON numbers are too short. */
  readonly timeNs: string;
  readonly interface: string;
  /** Bytes on the wire, without FCS. */
  readonly length: number;
  readonly summary: string;
  readonly verdict: string;
}

const etherHeaderBytes = 14;
const vlanTagBytes = 4;
const ethernetTypes = { ipv4: 0x0800, arp: 0x0806, vlan: 0x8100, qinq: 0x88a8, ipv6: 0x86dd };
const protocols = { icmp: 1, tcp: 6, udp: 17, icmpv6: 58, sctp: 132 };
const vxlanPorts = [4789, 8472];
const genevePort = 6081;
const udpHeaderBytes = 8;
const tunnelHeaderBytes = 8;
const nestedMax = 2;
const nsPerMs = 1_000_000n;

/** What the packet is, as far as its bytes go. */
export function summarize(packet: CapturedPacket): PacketSummary {
  const { bytes, interfaceName, timeNs, comment = '' } = packet;
  return {
    timeNs: `${timeNs}`,
    interface: interfaceName,
    length: packet.originalBytes ?? bytes.length,
    summary: ethernet(Buffer.from(bytes), 0),
    verdict: comment,
  };
}

/** Ends, protocol and flags of a frame. */
export function packetLine(bytes: Uint8Array): string {
  return ethernet(Buffer.from(bytes), 0);
}

/** The summary as a line. */
export function renderSummary({ timeNs, summary, verdict, ...rest }: PacketSummary): string {
  const ns = BigInt(timeNs);
  const date = new Date(Number(ns / nsPerMs)).toISOString();
  const micro = `${(ns % nsPerMs) / 1000n}`.padStart(3, '0');
  const time = date.slice(11, 23) + micro;
  const end = verdict === '' ? '' : `  [${verdict.replace(/\s+/g, ' ')}]`;
  return `${time}  ${rest.interface}  ${rest.length} B  ${summary}${end}\n`;
}

function ethernet(frame: Buffer, depth: number): string {
  if (frame.length < etherHeaderBytes) return 'truncated';
  const ends = `${formatMac(frame.subarray(6, 12))} > ${formatMac(frame.subarray(0, 6))}`;
  let offset = 12;
  let type = frame.readUInt16BE(offset);
  let vlans = '';
  const isTag = () => type === ethernetTypes.vlan || type === ethernetTypes.qinq;
  while (isTag() && frame.length >= offset + vlanTagBytes + 2) {
    vlans += ` vlan ${frame.readUInt16BE(offset + 2) & 0xfff}`;
    offset += vlanTagBytes;
    type = frame.readUInt16BE(offset);
  }
  return `${ends}${vlans} ${network(type, frame.subarray(offset + 2), depth)}`;
}

function network(type: number, data: Buffer, depth: number): string {
  if (type === ethernetTypes.arp && data.length >= 28) return arp(data);
  if (type === ethernetTypes.ipv4 && data.length >= 20) return ipv4(data, depth);
  if (type === ethernetTypes.ipv6 && data.length >= 40) {
    const ends = [formatIp(data.subarray(8, 24)), formatIp(data.subarray(24, 40))] as const;
    return transport(data.readUInt8(6), ends, data.subarray(40), depth);
  }
  return `type 0x${type.toString(16).padStart(4, '0')}`;
}

function arp(data: Buffer): string {
  const [from, to] = [formatIp(data.subarray(14, 18)), formatIp(data.subarray(24, 28))];
  return data.readUInt16BE(6) === 1
    ? `arp who-has ${to} tell ${from}`
    : `arp ${from} is-at ${formatMac(data.subarray(8, 14))}`;
}

function ipv4(data: Buffer, depth: number): string {
  const ends = [formatIp(data.subarray(12, 16)), formatIp(data.subarray(16, 20))] as const;
  const fragmentOffset = (data.readUInt16BE(6) & 0x1fff) * 8;
  if (fragmentOffset > 0) return `${ends.join(' > ')} fragment at ${fragmentOffset}`;
  const headerBytes = (data.readUInt8(0) & 0xf) * 4;
  return transport(data.readUInt8(9), ends, data.subarray(headerBytes), depth);
}

type Ends = readonly [from: string, to: string];

function transport(protocol: number, ends: Ends, data: Buffer, depth: number): string {
  const name = Object.entries(protocols).find(([, number]) => number === protocol)?.[0];
  const hasPorts = name === 'tcp' || name === 'udp' || name === 'sctp';
  if (!hasPorts || data.length < 4) {
    const type = name?.startsWith('icmp') && data.length > 1 ? ` type ${data.readUInt8(0)}` : '';
    return `${ends.join(' > ')} ${name ?? `protocol ${protocol}`}${type}`;
  }
  const [from, to] = [data.readUInt16BE(0), data.readUInt16BE(2)];
  const port = (address: string, number: number) =>
    address.includes(':') ? `[${address}]:${number}` : `${address}:${number}`;
  const text = `${port(ends[0], from)} > ${port(ends[1], to)} ${name}`;
  const inner = name === 'udp' && depth < nestedMax ? tunnel(to, data, depth) : '';
  return text + (name === 'tcp' ? tcpFlags(data) : inner);
}

function tcpFlags(data: Buffer): string {
  if (data.length < 14) return '';
  const flags = data.readUInt8(13);
  const set = ['fin', 'syn', 'rst', 'psh', 'ack'].filter((_, bit) => (flags >> bit) & 1);
  return ` ${set.join(',')}`;
}

function tunnel(port: number, datagram: Buffer, depth: number): string {
  const name = vxlanPorts.includes(port) ? 'vxlan' : port === genevePort ? 'geneve' : undefined;
  const data = datagram.subarray(udpHeaderBytes);
  if (name === undefined || data.length < tunnelHeaderBytes) return '';
  const vni = data.readUIntBE(4, 3);
  const optionBytes = name === 'geneve' ? (data.readUInt8(0) & 0x3f) * 4 : 0;
  const inner = ethernet(data.subarray(tunnelHeaderBytes + optionBytes), depth + 1);
  return ` ${name} ${vni} | ${inner}`;
}
