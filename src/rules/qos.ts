// rules/qos.ts — rate limits of ports: token buckets of the data path, one for each direction.
//
// egress polices what a port sends before anything else is done with it: a packet that is
// replicated costs once, however many it goes to. ingress polices what is delivered to it, whether
// to it alone (a rule's action) or to many (broadcast, multicast, unknown destinations): the copy
// for a port must pass the meter of that port, which its group knows. Denied packets cost nothing:
// their flow has no action but the drop. A packet or copy above the rate is dropped with
// meter_exceeded, counted at the port that it came in by. A rate changes in place, which touches no
// flow.

import { action } from '../flow/actions.ts';
import { parseRate } from '../lib/units.ts';
import type { Port } from '../model/document.ts';
import type { Step } from '../pipeline/rule.ts';
import type { Numbering } from './numbering.ts';

/** Numbers of the meters of a local port; 0: no limit. */
export interface PortMeters {
  /** To the container or VM. */
  readonly ingress: number;
  /** From it. */
  readonly egress: number;
}

/** A token bucket of the data path. */
export interface MeterObject {
  readonly number: number;
  /** Bytes a second, Ethernet headers included. */
  readonly rate: number;
  /** Bytes. */
  readonly burst: number;
}

export const noMeters: PortMeters = Object.freeze({ ingress: 0, egress: 0 });

const directions = ['ingress', 'egress'] as const;
/** Seconds of the rate that a full bucket holds: with 0.1 TCP reached half of its rate only. */
const burstSeconds = 0.25;
/** Two superpackets: the least with which one may follow another. */
const burstMin = 128 * 1024;
const bitsPerByte = 8;

const nameOf = (port: Port, direction: keyof PortMeters) => `${port.name}/${direction}`;

/** Gives numbers to the limits of a local port. */
export function metersOf(port: Port, numbering: Numbering): PortMeters {
  const number = (direction: keyof PortMeters) =>
    port.qos?.[direction] === undefined ? 0 : numbering.number('meters', nameOf(port, direction));
  return { ingress: number('ingress'), egress: number('egress') };
}

/** The meters of a port, by "port/direction". */
export function meterObjects(port: Port, meters: PortMeters): [string, MeterObject][] {
  return directions.flatMap((direction) => {
    const limit = port.qos?.[direction];
    if (limit === undefined || meters[direction] === 0) return [];
    const rate = Math.max(1, Math.round(parseRate(limit) / bitsPerByte));
    const burst = Math.max(burstMin, Math.round(rate * burstSeconds));
    return [[nameOf(port, direction), { number: meters[direction], rate, burst }]];
  });
}

/** Takes the packet's bytes from a meter, or ends the packet; no step for no limit. */
export function meterSteps(number: number): Step[] {
  return number === 0 ? [] : [{ kind: 'actions', words: action.meter(number) }];
}
