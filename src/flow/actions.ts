// flow/actions.ts — action programs: how they are written, read back and shown.
//
// Mirrors native/action/action.h. A program is 32-bit words in host order; the first word of each
// action is op | words << 8 | arg << 16. Addresses and MACs keep the byte order of the wire in
// memory. The writer appends to a buffer of its caller and allocates nothing.

import { formatIp, formatMac } from '../lib/addresses.ts';
import { dropReason, dropReasonName } from './drop-reasons.ts';

/** Words of one flow's program, and of a one-shot program inside an upcall record. */
export const actionWordsMax = 64;
export const inlineActionWordsMax = 18;

/** Numbers of the ops, and the words of each. */
export const op = Object.freeze({
  Output: 1,
  OutputTunnel: 2,
  OutputGroup: 3,
  SetEthSrc: 4,
  SetEthDst: 5,
  PushVlan: 6,
  PopVlan: 7,
  SetIpv4Src: 8,
  SetIpv4Dst: 9,
  SetIpv6Src: 10,
  SetIpv6Dst: 11,
  SetTpSrc: 12,
  SetTpDst: 13,
  SetDscp: 14,
  DecTtl: 15,
  ArpReply: 16,
  NdReply: 17,
  EnforceMtu: 18,
  Meter: 19,
  Mirror: 20,
  Upcall: 21,
  Drop: 22,
  CtCommit: 23,
  Sample: 24,
  Reject: 25,
  EchoReply: 26,
  Unreachable: 27,
  RouterAdvert: 28,
  RouterPrefix: 29,
});
export type OpName = keyof typeof op;

export const opWords: readonly number[] = [
  0, 2, 4, 4, 3, 3, 1, 1, 2, 2, 5, 5, 1, 1, 1, 6, 3, 3, 8, 2, 2, 1, 1, 2, 3, 1, 1, 6, 4, 5,
];

const opNames = new Map<number, OpName>(
  (Object.keys(op) as OpName[]).map((name) => [op[name], name]),
);

/** Where actions have the addresses that they answer from, in five words. */
export const enforceMtuGatewayAt = 3;
export const decTtlGatewayAt = 1;
export const unreachableGatewayAt = 1;

/** Argument of Unreachable. */
export const unreachable = Object.freeze({ noRoute: 0, host: 1, port: 2 });
const unreachableReasons = [
  dropReason.NoRoute,
  dropReason.HostUnreachable,
  dropReason.RouterItself,
];

/** Drop reason of a program that drops every packet, at `at`; 0: it does not. */
export function dropReasonOf(words: Uint32Array, at: number): number {
  const word = words[at]!;
  const arg = word >>> 16;
  switch (word & 0xff) {
    case op.Drop:
      return arg;
    case op.Reject:
      return dropReason.AclReject;
    case op.Unreachable:
      return unreachableReasons[arg] ?? 0;
    default:
      return 0;
  }
}

/** NdReply: the advertisement carries the router flag. */
export const ndReplyRouter = 1;

/** The first word of an action. */
export function actionWord(number: number, arg = 0): number {
  return (number | ((opWords[number] ?? 0) << 8) | (arg << 16)) >>> 0;
}

/** Words of whole actions, ready to be appended; made once, at compile time. */
export const action = Object.freeze({
  output: (port: number) => words(op.Output, 0, port),
  outputTunnel: (tunnel: number, vni: number, logicalPort: number) =>
    words(op.OutputTunnel, 0, tunnel, vni, logicalPort),
  outputGroup: (group: number, vni: number, logicalPort: number) =>
    words(op.OutputGroup, 0, group, vni, logicalPort),
  setEthSrc: (mac: Uint8Array) => words(op.SetEthSrc, 0, ...macWords(mac)),
  setEthDst: (mac: Uint8Array) => words(op.SetEthDst, 0, ...macWords(mac)),
  pushVlan: (vid: number) => words(op.PushVlan, vid),
  popVlan: () => words(op.PopVlan, 0),
  arpReply: (mac: Uint8Array) => words(op.ArpReply, 0, ...macWords(mac)),
  ndReply: (mac: Uint8Array, flags = 0) => words(op.NdReply, flags, ...macWords(mac)),
  /** Too-big answers come from `ipv4` or `ipv6`; without one, from the packet's own destination. */
  enforceMtu: (mtu: number, tunnel: number, ipv4?: Uint8Array, ipv6?: Uint8Array) =>
    words(op.EnforceMtu, 0, mtu, tunnel, ...gatewayWords(ipv4, ipv6)),
  decTtl: (ipv4?: Uint8Array, ipv6?: Uint8Array) =>
    words(op.DecTtl, 0, ...gatewayWords(ipv4, ipv6)),
  meter: (number: number) => words(op.Meter, 0, number),
  mirror: (port: number) => words(op.Mirror, 0, port),
  upcall: (reason: number) => words(op.Upcall, reason),
  drop: (reason: number) => words(op.Drop, reason),
  ctCommit: (zone: number) => words(op.CtCommit, 0, zone),
  echoReply: () => words(op.EchoReply, 0),
  unreachable: (kind: number) => words(op.Unreachable, kind, ...gatewayWords()),
  routerAdvert: (mac: Uint8Array, mtu: number, lifetime: number) =>
    words(op.RouterAdvert, lifetime, ...macWords(mac), mtu),
  routerPrefix: (prefix: Uint8Array, length: number) =>
    words(op.RouterPrefix, length, ...bytesToWords(prefix)),
});

function words(number: number, arg: number, ...rest: number[]): Uint32Array {
  return Uint32Array.of(actionWord(number, arg), ...rest);
}

/** The addresses of a gateway as actions have them; one that it lacks is zero. */
export function gatewayWords(ipv4?: Uint8Array, ipv6?: Uint8Array): number[] {
  return [...bytesToWords(ipv4 ?? new Uint8Array(4)), ...bytesToWords(ipv6 ?? new Uint8Array(16))];
}

/** Four bytes a word, in memory order, the last word padded with zeros. */
function bytesToWords(bytes: Uint8Array): number[] {
  const result: number[] = [];
  for (let index = 0; index < bytes.length; index += 4) {
    const [a = 0, b = 0, c = 0, d = 0] = bytes.subarray(index, index + 4);
    result.push((a | (b << 8) | (c << 16) | (d << 24)) >>> 0);
  }
  return result;
}

function macWords(mac: Uint8Array): number[] {
  if (mac.length !== 6) throw new RangeError(`a MAC address has 6 bytes, not ${mac.length}`);
  return bytesToWords(mac);
}

/** One action, read back from its words. */
export interface DecodedAction {
  readonly name: OpName;
  readonly arg: number;
  /** The words behind the first. */
  readonly operands: readonly number[];
}

/**
 * Reads a program of `count` words at `base`. Throws RangeError where native validate() would
 * refuse it: an unknown op, a wrong length, an action that goes past the end.
 */
export function decodeActions(program: Uint32Array, base: number, count: number): DecodedAction[] {
  const actions: DecodedAction[] = [];
  let index = 0;
  while (index < count) {
    const first = program[base + index] ?? 0;
    const name = opNames.get(first & 0xff);
    const length = (first >>> 8) & 0xff;
    if (name === undefined) throw new RangeError(`word ${index}: no op ${first & 0xff}`);
    if (length !== opWords[op[name]]) throw new RangeError(`word ${index}: ${name} of ${length}`);
    if (index + length > count) throw new RangeError(`word ${index}: ${name} is cut off`);
    const operands = Array.from(program.subarray(base + index + 1, base + index + length));
    actions.push({ name, arg: first >>> 16, operands });
    index += length;
  }
  return actions;
}

export interface ActionTextOptions {
  readonly portName?: (number: number) => string | undefined;
  readonly tunnelName?: (number: number) => string | undefined;
  readonly groupName?: (number: number) => string | undefined;
}

/** Text of a program for people: "enforce_mtu(1450),output_tunnel(h2,vni=100)". */
export function formatActions(
  program: Uint32Array,
  base: number,
  count: number,
  options: ActionTextOptions = {},
): string {
  if (count === 0) return 'drop(no_output)';
  return decodeActions(program, base, count)
    .map((decoded) => formatAction(decoded, options))
    .join(',');
}

const unreachableNames = ['no_route', 'host', 'port'];

function formatAction(decoded: DecodedAction, options: ActionTextOptions): string {
  const { name, arg, operands } = decoded;
  const first = operands[0] ?? 0;
  const named = (lookup: ((number: number) => string | undefined) | undefined) =>
    lookup?.(first) ?? `${first}`;
  const label = name.replace(/(?<=[a-z0-9])[A-Z]/g, '_$&').toLowerCase();
  switch (name) {
    case 'Output':
    case 'Mirror':
      return `${label}(${named(options.portName)})`;
    case 'OutputTunnel':
      return `${label}(${named(options.tunnelName)},vni=${operands[1]})`;
    case 'OutputGroup':
      return `${label}(${named(options.groupName)},vni=${operands[1]})`;
    case 'SetEthSrc':
    case 'SetEthDst':
    case 'ArpReply':
    case 'NdReply':
    case 'RouterAdvert':
      return `${label}(${formatMac(wordsToBytes(operands).subarray(0, 6))})`;
    case 'SetIpv4Src':
    case 'SetIpv4Dst':
    case 'SetIpv6Src':
    case 'SetIpv6Dst':
      return `${label}(${formatIp(wordsToBytes(operands))})`;
    case 'Unreachable':
      return `${label}(${unreachableNames[arg] ?? arg})`;
    case 'RouterPrefix':
      return `${label}(${formatIp(wordsToBytes(operands))}/${arg})`;
    case 'EnforceMtu':
      return first === 0 ? `${label}(tunnel=${operands[1]})` : `${label}(${first})`;
    case 'Drop':
      return `${label}(${dropReasonName(arg)})`;
    case 'PopVlan':
    case 'DecTtl':
    case 'Reject':
    case 'EchoReply':
      return label;
    case 'Meter':
    case 'CtCommit':
    case 'Sample':
      return `${label}(${operands.join(',')})`;
    default:
      return `${label}(${arg})`;
  }
}

function wordsToBytes(operands: readonly number[]): Uint8Array {
  const bytes = new Uint8Array(operands.length * 4);
  for (const [index, word] of operands.entries()) {
    for (let place = 0; place < 4; place += 1) bytes[index * 4 + place] = word >>> (place * 8);
  }
  return bytes;
}
