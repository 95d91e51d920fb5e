// support/traffic.ts — traffic between namespaces of a lab, and what became of it, in numbers.
//
// ping, iperf3, TCP streams of verified content and numbered UDP datagrams. Each function makes its
// own server, waits until it listens, and ends it; nothing here sleeps.

import { fileURLToPath } from 'node:url';
import type { Lab } from './netns.ts';
import type { ManagedProcess } from './process.ts';

const streamScript = fileURLToPath(new URL('./traffic/stream.mjs', import.meta.url));
const datagramScript = fileURLToPath(new URL('./traffic/datagrams.py', import.meta.url));
const python = '/usr/bin/python3';

export interface PingOptions {
  /** Default 3. */
  count?: number;
  /** Bytes of ICMP payload; default 56. */
  size?: number;
  /** Forbid fragmentation, at the sender too. */
  df?: boolean;
  /** Seconds between two requests; default 0.05. */
  interval?: number;
  /** Seconds to wait for the last answer; default 2. */
  wait?: number;
}

export interface PingResult {
  sent: number;
  received: number;
  averageMs: number;
  maxMs: number;
  /** Answers that came twice, which a switch must not make. */
  duplicates: number;
  /** What ping printed, for errors such as "Frag needed and DF set (mtu = 1430)". */
  text: string;
}

/** Pings an address from a namespace. Loss is a result, not an exception. */
export async function ping(lab: Lab, from: string, to: string, options: PingOptions = {}) {
  const count = options.count ?? 3;
  const interval = options.interval ?? 0.05;
  const wait = options.wait ?? 2;
  const args = ['-n', '-c', String(count), '-i', String(interval), '-W', String(wait)];
  if (options.size !== undefined) args.push('-s', String(options.size));
  if (options.df !== undefined) args.push('-M', options.df ? 'do' : 'dont');
  const timeout = 10_000 + 1000 * (wait + count * (interval + 1));
  const { stdout, stderr } = await lab.exec(from, 'ping', [...args, to], { timeout });
  return parsePing(stdout + stderr);
}

/** Reads what ping of iputils prints. */
export function parsePing(text: string): PingResult {
  const counts = /(\d+) packets transmitted, (\d+) received/.exec(text);
  const times = /= [\d.]+\/([\d.]+)\/([\d.]+)\//.exec(text);
  return {
    sent: Number(counts?.[1] ?? 0),
    received: Number(counts?.[2] ?? 0),
    averageMs: Number(times?.[1] ?? Number.NaN),
    maxMs: Number(times?.[2] ?? Number.NaN),
    duplicates: Number(/\+(\d+) duplicates/.exec(text)?.[1] ?? 0),
    text,
  };
}

/** From which namespace to which, and the address and port at the far one. */
export interface Path {
  from: string;
  to: string;
  address: string;
  port?: number;
}

export interface IperfOptions {
  udp?: boolean;
  /** Default 2. */
  seconds?: number;
  streams?: number;
  /** iperf3's -b; default unlimited for TCP, 50M for UDP. */
  bitrate?: string;
  reverse?: boolean;
  /** Bytes per write or datagram (-l). */
  length?: number;
  /** Seconds before those that are counted (-O). */
  omit?: number;
}

export interface IperfResult {
  gigabitPerSecond: number;
  retransmits: number;
  /** UDP only. */
  lostPackets: number;
  packets: number;
  json: Record<string, unknown>;
}

/** One iperf3 run, judged by the receiver. Rejects when the client fails. */
export async function iperf(
  lab: Lab,
  path: Path,
  options: IperfOptions = {},
): Promise<IperfResult> {
  const port = String(path.port ?? 5201);
  const server = lab.spawn(path.to, 'iperf3', ['-s', '-1', '-p', port, '--forceflush']);
  try {
    await server.waitFor(/Server listening/);
    const args = ['-J', '-c', path.address, '-p', port, '-t', String(options.seconds ?? 2)];
    if (options.udp) args.push('-u', '-b', options.bitrate ?? '50M');
    else if (options.bitrate) args.push('-b', options.bitrate);
    if (options.streams) args.push('-P', String(options.streams));
    if (options.length) args.push('-l', String(options.length));
    if (options.omit) args.push('-O', String(options.omit));
    if (options.reverse) args.push('-R');
    const timeout = 20_000 + 1000 * ((options.omit ?? 0) + (options.seconds ?? 2));
    const { stdout, stderr } = await lab.exec(path.from, 'iperf3', args, { timeout });
    return readIperf(stdout || stderr, options.udp ?? false);
  } finally {
    await server.stop();
  }
}

function readIperf(text: string, udp: boolean): IperfResult {
  const json = JSON.parse(text);
  if (json.error) throw new Error(`iperf3: ${json.error}`);
  const { end } = json;
  const received = udp ? (end.sum_received ?? end.sum) : end.sum_received;
  const lossy = end.sum ?? {};
  return {
    gigabitPerSecond: received.bits_per_second / 1e9,
    retransmits: end.sum_sent?.retransmits ?? 0,
    lostPackets: lossy.lost_packets ?? 0,
    packets: lossy.packets ?? 0,
    json,
  };
}

export interface TransferOptions {
  /** Default 8 MiB. */
  bytes?: number;
  seed?: number;
  /** The far end sends and this one verifies. */
  reverse?: boolean;
  /** Default 30000. */
  timeout?: number;
}

export interface TransferResult {
  /** Every byte arrived, once, in place, unchanged, and the hashes agree. */
  ok: boolean;
  bytes: number;
  /** Offset of the first wrong byte, or -1. */
  firstBad: number;
  sha256: string;
  seconds: number;
  error?: string;
}

/** Sends a known pseudo-random stream over TCP, verified at the other end. Failure is a result. */
export async function transfer(lab: Lab, path: Path, options: TransferOptions = {}) {
  const server = await streamServer(lab, path);
  try {
    const args = [
      ...[streamScript, options.reverse ? 'fetch' : 'send'],
      ...['--address', path.address, '--port', String(path.port ?? 20101)],
      ...['--bytes', String(options.bytes ?? 8 << 20), '--seed', String(options.seed ?? 1)],
    ];
    const timeout = options.timeout ?? 30_000;
    const { stdout, stderr } = await lab.exec(path.from, process.execPath, args, { timeout });
    if (!stdout) throw new Error(`stream.mjs said nothing: ${stderr}`);
    return JSON.parse(stdout) as TransferResult;
  } finally {
    await server.stop();
  }
}

async function streamServer(lab: Lab, path: Path) {
  const args = [streamScript, 'serve', '--port', String(path.port ?? 20101)];
  const server = lab.spawn(path.to, process.execPath, args);
  await server.waitFor(/ready/);
  return server;
}

export interface SteadyResult extends TransferResult {
  sent: number;
  /** The connection was closed or reset before it was asked to end. */
  closedEarly: boolean;
  /** Longest time without an echo while one was owed. */
  maxGapMs: number;
}

/** A long-lived TCP connection, running. `finish` ends it and tells how it fared. */
export interface SteadyStream {
  process: ManagedProcess;
  finish(): Promise<SteadyResult>;
}

/**
 * Starts a TCP connection that sends a chunk every few milliseconds; resolves with its first echo.
 */
export async function steadyStream(
  lab: Lab,
  path: Path,
  options: { everyMs?: number; size?: number } = {},
): Promise<SteadyStream> {
  const server = await streamServer(lab, path);
  const client = lab.spawn(path.from, process.execPath, [
    ...[streamScript, 'steady', '--address', path.address, '--port', String(path.port ?? 20101)],
    ...['--every', String(options.everyMs ?? 10), '--size', String(options.size ?? 200)],
  ]);
  await client.waitFor(/ready/);
  const finish = async () => {
    await client.stop({ timeoutMs: 10_000 });
    await server.stop();
    return lastJson(client) as SteadyResult;
  };
  return { process: client, finish };
}

export interface DatagramOptions {
  /** Datagrams per second; default 1000. */
  rate?: number;
  /** Bytes of UDP payload, 8 to 65507; default 200. */
  size?: number;
  /** Default 1000. */
  count?: number;
}

export interface DatagramResult {
  expected: number;
  received: number;
  lost: number;
  /** Numbers of the first ten that are missing. */
  firstLost: number[];
  duplicated: number;
  reordered: number;
  corrupted: number;
  /** Lost in the receiver's own socket buffer: no fault of the network. Part of `lost`. */
  socketDrops: number;
  /** Longest time between two datagrams, and the number that ended it. */
  maxGapMs: number;
  maxGapAt: number;
  /** Sends that the sender's kernel refused (message too long, no route). Part of `lost`. */
  refused: number;
}

/** A stream of numbered datagrams, running. `finish` ends it and counts. */
export interface DatagramStream {
  sender: ManagedProcess;
  receiver: ManagedProcess;
  /** Stops sending now, or with `whenDone` waits for the last one; then waits for stragglers. */
  finish(options?: { whenDone?: boolean }): Promise<DatagramResult>;
}

/** Starts numbered UDP datagrams at a given rate; resolves when the first is sent. */
export async function datagramStream(
  lab: Lab,
  path: Path,
  options: DatagramOptions = {},
): Promise<DatagramStream> {
  const port = String(path.port ?? 20102);
  const any = path.address.includes(':') ? '::' : '0.0.0.0';
  const receive = [datagramScript, 'receive', '--address', any, '--port', port];
  const receiver = lab.spawn(path.to, python, receive);
  await receiver.waitFor(/ready/);
  const sender = lab.spawn(path.from, python, [
    ...[datagramScript, 'send', '--address', path.address, '--port', port],
    ...['--rate', String(options.rate ?? 1000), '--size', String(options.size ?? 200)],
    ...['--count', String(options.count ?? 1000)],
  ]);
  await sender.waitFor(/started/);
  const finish = async ({ whenDone = false } = {}) => {
    if (whenDone) await sender.exited;
    else await sender.stop();
    const sent = lastJson(sender) as { sent: number; refused: number };
    receiver.write(`end ${sent.sent}\n`);
    await receiver.exited;
    return { ...(lastJson(receiver) as DatagramResult), refused: sent.refused };
  };
  return { sender, receiver, finish };
}

/** Sends a number of UDP datagrams and counts what arrived. */
export async function datagrams(lab: Lab, path: Path, options: DatagramOptions = {}) {
  const stream = await datagramStream(lab, path, options);
  return stream.finish({ whenDone: true });
}

function lastJson(process: ManagedProcess): unknown {
  const line = process.stdout.trim().split('\n').pop() ?? '';
  try {
    return JSON.parse(line);
  } catch {
    throw new Error(
      `${process.name} (${process.describeEnd()}) gave no result:\n${process.output}`,
    );
  }
}
