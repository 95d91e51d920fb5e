// switch/connections.ts — exact entries as the connections that people know.
//
// A tracked connection has two entries, one for each direction, which may be of different workers;
// what is not tracked has one for each direction, and each stands for itself.

import type { ConnectionView } from '../control/switch-api.ts';
import type { EntryReport } from '../datapath/events.ts';
import { formatFiveTuple } from '../flow/five-tuple.ts';
import { ctState, field, getNumber } from '../flow/key.ts';
import type { Names } from './names.ts';

/** ConnectionState of native/flow/connection.h. */
const stateNames = [
  '',
  'syn_sent',
  'syn_received',
  'established',
  'fin_wait',
  'close_wait',
  'last_ack',
  'time_wait',
  'close',
  'syn_sent',
  'single',
  'answered',
];

/** The entries of one connection, that of its originator first. */
export type EntryPair = readonly [EntryReport, ...EntryReport[]];

/** Name of a connection's state; empty: it is not tracked. */
export function stateName(state: number): string {
  return stateNames[state] ?? `${state}`;
}

/** Whether the operator let it go on. */
export function isKept({ key }: EntryReport): boolean {
  return (stateOf(key) & ctState.kept) !== 0;
}

/** Puts the two directions of each connection together. */
export function pairEntries(reports: readonly EntryReport[]): EntryPair[] {
  const pairs = new Map<string, [EntryReport, ...EntryReport[]]>();
  for (const [index, report] of reports.entries()) {
    const { connection, connectionGeneration } = report;
    const name = connection === 0 ? `entry ${index}` : `${connection} ${connectionGeneration}`;
    const other = pairs.get(name);
    if (other === undefined) pairs.set(name, [report]);
    else if (isReply(report)) other.push(report);
    else other.unshift(report);
  }
  return [...pairs.values()];
}

export function connectionView(pair: EntryPair, names: Names): ConnectionView {
  const [first, second] = pair;
  // Only the reply may be there, after the originator has been silent for long.
  const turned = isReply(first);
  const [there, back] = turned ? [second, first] : [first, second];
  const { protocol, source, destination } = formatFiveTuple(first.key);
  const inPort = getNumber(first.key, 0, field.in_port);
  return {
    protocol,
    source: turned ? destination : source,
    destination: turned ? source : destination,
    port: turned ? '' : (names.portName(inPort) ?? `${inPort}`),
    state: stateName(first.state),
    kept: isKept(first),
    packets: there?.packets ?? 0,
    bytes: there?.bytes ?? 0,
    replyPackets: back?.packets ?? 0,
    replyBytes: back?.bytes ?? 0,
    ageSeconds: Math.max(...pair.map(({ ageMs }) => ageMs)) / 1000,
    idleSeconds: Math.min(...pair.map(({ idleMs }) => idleMs)) / 1000,
    flows: [...new Set(pair.map(({ flow }) => flow))].filter((flow) => flow !== 0),
  };
}

function isReply({ key }: EntryReport): boolean {
  return (stateOf(key) & ctState.rpl) !== 0;
}

function stateOf(key: Uint32Array): number {
  return getNumber(key, 0, field.ct_state);
}
