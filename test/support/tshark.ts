// support/tshark.ts — tshark as an independent judge of packets: what it reads, and what it
// complains of.
//
// Checksums of ip, udp, tcp and sctp are validated here, which tshark by itself does not do; icmp
// and icmpv6 always are. A UDP checksum of zero means "none" over IPv4 and is no complaint; over
// IPv6 it is an error to tshark unless `zeroUdp6` says that it is meant (RFC 6935 tunnels). What
// tshark says of the course of a TCP connection (retransmission, lost segment) is about the capture
// and not about the packet, and does not count.

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { writePcap } from './pcap.ts';
import { mustRun } from './process.ts';

export interface TsharkOptions {
  /** tshark's -d, for example "udp.port==8472,vxlan". */
  decodeAs?: string[];
  /** Accept a zero UDP checksum over IPv6. */
  zeroUdp6?: boolean;
  /** Complaints to pass over. */
  ignore?: RegExp[];
}

export interface Complaint {
  frame: number;
  severity: 'chat' | 'note' | 'warning' | 'error' | 'comment';
  group: string;
  message: string;
}

const severities: Record<number, Complaint['severity']> = {
  1048576: 'comment',
  2097152: 'chat',
  4194304: 'note',
  6291456: 'warning',
  8388608: 'error',
};

const groups: Record<number, string> = {
  16777216: 'checksum',
  33554432: 'sequence',
  50331648: 'response',
  67108864: 'request',
  83886080: 'undecoded',
  100663296: 'reassemble',
  117440512: 'malformed',
  134217728: 'debug',
  150994944: 'protocol',
};

function preferences(options: TsharkOptions) {
  return [
    ...['-n', '-o', 'ip.check_checksum:TRUE', '-o', 'udp.check_checksum:TRUE'],
    ...['-o', 'tcp.check_checksum:TRUE', '-o', 'sctp.checksum:CRC 32c'],
    ...['-o', `udp.ignore_ipv6_zero_checksum:${options.zeroUdp6 ? 'TRUE' : 'FALSE'}`],
    ...(options.decodeAs ?? []).flatMap((rule) => ['-d', rule]),
  ];
}

async function withFile<T>(input: string | Uint8Array[], use: (path: string) => Promise<T>) {
  if (typeof input === 'string') return use(input);
  const directory = mkdtempSync(join(tmpdir(), 'vtep-tshark-'));
  try {
    const path = join(directory, 'frames.pcap');
    writePcap(path, input);
    return await use(path);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

async function tshark(path: string, args: string[], options: TsharkOptions): Promise<string> {
  const all = ['-r', path, ...preferences(options), ...args];
  return (await mustRun('tshark', all, { timeout: 60_000 })).stdout;
}

/**
 * Chosen fields of each frame of a capture or of frames: all values that a field has, outermost
 * first.
 */
export function tsharkFields<Name extends string>(
  input: string | Uint8Array[],
  names: Name[],
  options: TsharkOptions = {},
): Promise<Record<Name, string[]>[]> {
  return withFile(input, async (path) => {
    const args = ['-T', 'fields', '-E', 'occurrence=a', '-E', 'aggregator=\u001f'];
    const text = await tshark(path, [...args, ...names.flatMap((name) => ['-e', name])], options);
    const lines = text.split('\n').slice(0, -1);
    return lines.map((line) => {
      const values = line.split('\t').map((value) => (value ? value.split('\u001f') : []));
      return Object.fromEntries(names.map((name, i) => [name, values[i]])) as Record<
        Name,
        string[]
      >;
    });
  });
}

/** The protocols of each frame: "eth:ethertype:ip:udp:vxlan:eth:ethertype:ip:icmp:data". */
export async function tsharkProtocols(input: string | Uint8Array[], options: TsharkOptions = {}) {
  const frames = await tsharkFields(input, ['frame.protocols'], options);
  return frames.map((frame) => frame['frame.protocols'][0]);
}

/** The whole dissection of each frame, as tshark's JSON. */
export function tsharkJson(
  input: string | Uint8Array[],
  options: TsharkOptions = {},
): Promise<Record<string, unknown>[]> {
  return withFile(input, async (path) => {
    const frames = JSON.parse(await tshark(path, ['-T', 'json', '--no-duplicate-keys'], options));
    return frames.map(
      (frame: { _source: { layers: Record<string, unknown> } }) => frame._source.layers,
    );
  });
}

/** All that tshark has to say about the frames, whatever its weight. */
export async function complaints(
  input: string | Uint8Array[],
  options: TsharkOptions = {},
): Promise<Complaint[]> {
  const names = ['_ws.expert.severity', '_ws.expert.group', '_ws.expert.message'] as const;
  const frames = await tsharkFields(input, ['frame.number', ...names], options);
  return frames.flatMap((frame) =>
    frame['_ws.expert.severity'].map((severity, index) => ({
      frame: Number(frame['frame.number'][0]),
      severity: severities[Number(severity)] ?? 'error',
      group: groups[Number(frame['_ws.expert.group'][index])] ?? frame['_ws.expert.group'][index],
      message: frame['_ws.expert.message'][index],
    })),
  );
}

/** A complaint about a packet's bytes, not about the course of a connection. */
export function isFault({ severity, group }: Complaint): boolean {
  if (severity !== 'warning' && severity !== 'error') return false;
  return group !== 'sequence' && group !== 'response';
}

/**
 * Throws, with tshark's words and frame numbers, when a frame is malformed or a checksum is wrong.
 */
export async function expectNoExpertErrors(
  input: string | Uint8Array[],
  options: TsharkOptions = {},
): Promise<void> {
  const all = await complaints(input, options);
  const ignored = options.ignore ?? [];
  const faults = all
    .filter(isFault)
    .filter(({ message }) => !ignored.some((re) => re.test(message)));
  if (faults.length === 0) return;
  const lines = faults.map(
    ({ frame, severity, group, message }) => `frame ${frame}: ${severity}, ${group}: ${message}`,
  );
  throw new Error(`tshark complains:\n${lines.join('\n')}`);
}
