// pipeline/registers.ts — the key that stages match on: the packet's words, then a few of our own.
//
// A register carries what one stage found to the stages behind it (as metadata and registers do in
// OVS). It is a function of packet bits that were looked at when it was set, so it never appears in
// a mask that leaves the pipeline. Registers start as zero.

import { flowKeyWords } from '../flow/key.ts';

/** Word index of each register in a pipeline key. */
export const register = Object.freeze({
  /** VNI of the logical network; 0: not classified. */
  network: flowKeyWords,
  /** Location that the packet came from. */
  source: flowKeyWords + 1,
  /** Location that the packet goes to. */
  destination: flowKeyWords + 2,
  /** 1: the packet has a VLAN tag of the access link, to be taken off before it leaves. */
  tagged: flowKeyWords + 3,
  /** Id of the logical source port on the wire (Geneve option); never matched. */
  sourceId: flowKeyWords + 4,
  /** 1: the packet starts a connection that is to be remembered. */
  commit: flowKeyWords + 5,
  /** Which kinds of local ports a replicated packet may reach, a bit each; see policy.ts. */
  receivers: flowKeyWords + 6,
  /** Number of the router that forwards the packet; 0: none does. */
  router: flowKeyWords + 7,
  /** Which next hop of its router the packet takes; 0: its own destination. */
  nextHop: flowKeyWords + 8,
});
export type RegisterName = keyof typeof register;

/** Words of a pipeline key and of its mask. */
export const pipelineKeyWords = flowKeyWords + 9;

/** Registers by the order of their words. */
export const registerNames = Object.keys(register) as readonly RegisterName[];

// A location is its kind in the top byte, a number below.
/** Covers the kind of a location. */
export const locationKindMask = 0xff000000;
export const locationLocal = 0x01000000;
export const locationTunnel = 0x02000000;
/** All ports of the network: broadcast, and unknown addresses where that is asked for. */
export const locationFlood = 0x03000000;

/** Location of a logical port of this host, by its logical number. */
export function localLocation(logicalPort: number): number {
  return locationLocal + logicalPort;
}

/** Location behind a tunnel, by the number of the tunnel. */
export function tunnelLocation(tunnel: number): number {
  return locationTunnel + tunnel;
}

/** Text of a location, for traces. */
export function formatLocation(value: number): string {
  const number = value % 0x1000000;
  const kind = value - number;
  if (kind === locationLocal) return `port(${number})`;
  if (kind === locationTunnel) return number === 0 ? 'tunnel' : `tunnel(${number})`;
  return kind === locationFlood ? 'flood' : `${value}`;
}
