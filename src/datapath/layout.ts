// datapath/layout.ts — the shared memory to the byte, as native/datapath/layout.h has it.
//
// Offsets are bytes from the start of their struct; `size` is the struct's own. Both sides write
// the numbers down, and attach compares them: a datapath of another build is refused before a byte
// of its memory is believed.

import { op } from '../flow/actions.ts';
import { SwitchError } from '../lib/errors.ts';

/** Limits and marks of base/limits.h and layout.h. */
export const limits = Object.freeze({
  layoutMagic: 0x50455456,
  layoutVersion: 4,
  workerMax: 16,
  portMax: 1024,
  tunnelMax: 4096,
  groupMax: 8192,
  meterMax: 4096,
  endpointMax: 8,
  dropReasonMax: 96,
  portCounterMax: 16,
  workerCounterMax: 64,
  actionWordsMax: 64,
  inlineActionWordsMax: 18,
  captureBytesMax: 2048,
  dropSampleBytesMax: 256,
  packetBytesMax: 65553,
  flowFree: 0,
  flowLive: 1,
  timeoutMinMs: 5000,
  timeoutMaxMs: 2_000_000_000,
});

export const regionHeader = Object.freeze({
  size: 104,
  magic: 0,
  version: 4,
  bytes: 8,
  workerCount: 16,
  flowMax: 20,
  upcallRingBytes: 24,
  commandRingBytes: 28,
  eventRingBytes: 32,
  datapathPid: 36,
  startedNs: 40,
  flowsOffset: 48,
  statsOffset: 56,
  countersOffset: 64,
  portsOffset: 72,
  dropsOffset: 80,
  ringsOffset: 88,
  ringStride: 96,
});

export const flowSlot = Object.freeze({
  size: 512,
  state: 0,
  generation: 4,
  actionWords: 8,
  decision: 12,
  createdMs: 16,
  key: 32,
  mask: 144,
  actions: 256,
});

export const flowStats = Object.freeze({
  size: 32,
  packets: 0,
  bytes: 8,
  usedMs: 16,
});

export const ringHeader = Object.freeze({
  size: 256,
  produced: 0,
  answered: 64,
  consumed: 128,
  sleeping: 192,
});

export const upcallRecord = Object.freeze({
  size: 256,
  recordBytes: 0,
  kind: 4,
  reason: 8,
  packetBytes: 12,
  rxNs: 16,
  inPort: 24,
  outerBytes: 28,
  offload: 32,
  l3: 40,
  l4: 42,
  payload: 44,
  tcpFlags: 46,
  ipTos: 47,
  ipTtl: 48,
  outerTos: 49,
  verdictKind: 52,
  verdictFlow: 56,
  verdictGeneration: 60,
  key: 64,
  verdictReason: 176,
  inlineCount: 180,
  inlineActions: 184,
});

export const commandRecord = Object.freeze({
  size: 64,
  recordBytes: 0,
  kind: 4,
  slot: 8,
  generation: 12,
  inPort: 16,
  actionWords: 20,
  packetBytes: 24,
  token: 28,
  mark: 32,
  markMs: 36,
  idleMs: 40,
  activeMs: 44,
});

export const eventRecord = Object.freeze({
  size: 64,
  recordBytes: 0,
  kind: 4,
  timeNs: 8,
  port: 16,
  packetBytes: 20,
  originalBytes: 24,
  flow: 28,
  verdict: 32,
  dropReason: 36,
  otherPort: 40,
  generation: 44,
  token: 48,
});

export const entryReport = Object.freeze({
  size: 168,
  key: 0,
  packets: 112,
  bytes: 120,
  flow: 128,
  generation: 132,
  decision: 136,
  connection: 140,
  connectionGeneration: 144,
  connectionState: 148,
  ageMs: 152,
  idleMs: 156,
  why: 160,
});

export const connectionTimeouts = Object.freeze({
  size: 48,
  synSent: 0,
  synReceived: 4,
  established: 8,
  finWait: 12,
  closeWait: 16,
  lastAck: 20,
  timeWait: 24,
  close: 28,
  udpUnreplied: 32,
  udpStream: 36,
  icmp: 40,
  other: 44,
});

export const flowKey = Object.freeze({
  size: 112,
  inPort: 0,
  tunnelId: 4,
  tunnelSrc: 8,
  ethType: 10,
  vlanTci: 12,
  vlanTci2: 14,
  ethDst: 16,
  ipProto: 22,
  ipFrag: 23,
  ethSrc: 24,
  ctState: 30,
  tpSrc: 32,
  tpDst: 34,
  tunnelPort: 36,
  ipSrc: 40,
  ipDst: 44,
  ipv6Src: 48,
  ipv6Dst: 64,
  ndTarget: 80,
  arpSha: 96,
  arpTha: 102,
});

export const recordKind = Object.freeze({ Pad: 0, Upcall: 1, Follower: 2 });
export const verdictKind = Object.freeze({ None: 0, Flow: 1, Once: 2, Retry: 3, Drop: 4 });
export const commandKind = Object.freeze({
  Pad: 0,
  InstallFlow: 1,
  RemoveFlow: 2,
  PacketOut: 3,
  FlushExact: 4,
  Barrier: 5,
  ListEntries: 6,
  MarkConnection: 7,
  ReportEnds: 8,
  SetTimeouts: 9,
});
export const eventKind = Object.freeze({
  Pad: 0,
  CaptureRx: 1,
  CaptureTx: 2,
  Drop: 3,
  Entry: 4,
  EntryEnd: 5,
  Listed: 6,
});
export const upcallReason = Object.freeze({ Miss: 0, Action: 1, Learn: 2, TtlExceeded: 3 });

/** EventRecord.verdict. */
export const captureVerdict = Object.freeze({ Forwarded: 0, Upcall: 1, Dropped: 2, Answered: 3 });

const structs = {
  RegionHeader: regionHeader,
  FlowSlot: flowSlot,
  FlowStats: flowStats,
  RingHeader: ringHeader,
  UpcallRecord: upcallRecord,
  CommandRecord: commandRecord,
  EventRecord: eventRecord,
  EntryReport: entryReport,
  ConnectionTimeouts: connectionTimeouts,
  FlowKey: flowKey,
};
const enums = {
  RecordKind: recordKind,
  VerdictKind: verdictKind,
  CommandKind: commandKind,
  EventKind: eventKind,
  UpcallReason: upcallReason,
  Op: op,
};

/** Every number of this file under the name that the addon's layout() gives it. */
export function layoutTable(): Record<string, number> {
  const table: Record<string, number> = {};
  for (const [name, value] of Object.entries(limits)) table[snake(name)] = value;
  for (const [struct, fields] of Object.entries(structs)) {
    for (const [name, value] of Object.entries(fields)) table[`${struct}.${snake(name)}`] = value;
  }
  for (const [kind, values] of Object.entries(enums)) {
    for (const [name, value] of Object.entries(values)) table[`${kind}::${name}`] = value;
  }
  return table;
}

/**
 * Compares with what the addon was compiled from.
 * @throws SwitchError ERR_PROTOCOL that names the first difference
 */
export function compareLayout(native: Readonly<Record<string, number>>): void {
  const ours = layoutTable();
  for (const [name, value] of Object.entries(ours)) {
    if (native[name] === value) continue;
    const theirs = native[name] === undefined ? 'not known to it' : `${native[name]}`;
    throw new SwitchError(
      'ERR_PROTOCOL',
      `the addon was built from another layout: ${name} is ${theirs}, expected ${value}`,
      { remedy: 'Build the addon again with "npm run build:addon".' },
    );
  }
  for (const name of Object.keys(native)) {
    if (ours[name] !== undefined) continue;
    throw new SwitchError(
      'ERR_PROTOCOL',
      `the addon was built from another layout: ${name} is new`,
      {
        remedy: 'Build the TypeScript again with "npm run build:ts".',
      },
    );
  }
}

function snake(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}
