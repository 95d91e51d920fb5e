// switch/cut-notice.ts — both ends of a cut TCP connection hear of it, though neither speaks.
//
// A firewall that denies a connection by now answers who speaks with a reset, and knows its
// sequence number from what was said. An end that is silent would wait for ever. Nobody remembers
// sequence numbers here, so the end is made to tell: a segment that cannot be of this moment, as if
// from the other end, has to be answered with an acknowledgement (RFC 9293 section 3.10.7.4, first
// check; RFC 5961), which is what the reset answers. Two segments are sent, half of all sequence
// numbers apart, since one of them might be in the window by chance; no window holds both. To an
// end that has forgotten the connection they are nothing: it resets them.
//
// Found are the connections that have exact entries: all that live, but those whose entries a full
// cache gave up.
//
// An end behind a firewall of its own that drops what is out of the window hears of the cut when it
// speaks, as before.

import type { EntryReport } from '../datapath/events.ts';
import { action } from '../flow/actions.ts';
import { field, getNumber, ipProto } from '../flow/key.ts';
import { segmentBack } from '../flow/segment.ts';

/** ConnectionState of native/flow/connection.h: established, or one end has said that it ends. */
const openStates: ReadonlySet<number> = new Set([3, 4, 5]);
const halfOfAll = 2 ** 31;
/**
 * Ends that are told at once, and the pause before the next ones: half of the resets that the data
 * path sends to one port (icmp_error_port_rate, icmp_error_port_burst).
 */
export const noticeBurst = 50;
export const noticePauseMs = 100;

/** A packet that the data path is to send. */
export interface SentPacket {
  readonly program: Uint32Array;
  readonly frame: Uint8Array;
}

/** The segments for the sender of one direction of a connection. */
export function noticesTo({ key }: EntryReport): SentPacket[] {
  const tunnel = getNumber(key, 0, field.tunnel_src);
  const program =
    tunnel === 0
      ? action.output(getNumber(key, 0, field.in_port))
      : action.outputTunnel(tunnel, getNumber(key, 0, field.tunnel_id), 0);
  const sequence = Math.floor(Math.random() * halfOfAll);
  return [sequence, sequence + halfOfAll].map((number) => {
    return { program, frame: segmentBack(key, number) };
  });
}

/** Whether the sender of this direction is one to be told. */
function isOpenTcp({ key, state }: EntryReport): boolean {
  return openStates.has(state) && getNumber(key, 0, field.ip_proto) === ipProto.tcp;
}

/** Tells the ends that are TCP's, a few at a time; `send` says false when it has no room. */
export async function tellOfCut(
  directions: readonly EntryReport[],
  send: (packet: SentPacket) => boolean,
): Promise<void> {
  for (const [index, end] of directions.filter(isOpenTcp).entries()) {
    if (index > 0 && index % noticeBurst === 0) {
      await new Promise((resolve) => setTimeout(resolve, noticePauseMs).unref());
    }
    for (const packet of noticesTo(end)) send(packet);
  }
}
