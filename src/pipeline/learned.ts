// pipeline/learned.ts — the rules of learned MAC addresses, and where they rank in stage learn.
//
// The rules around them come from the model (rules/learn.ts); these come and go with the traffic
// (slowpath/learning.ts). A location is a local port or a tunnel, as in registers.ts.

import { dropReason } from '../flow/drop-reasons.ts';
import { Match, makeRule } from './match.ts';
import { register } from './registers.ts';
import type { Origin, Rule } from './rule.ts';

/** A network that learns MAC addresses, and from where. */
export interface LearningNetwork {
  readonly name: string;
  readonly vni: number;
  /** Most addresses behind one location. */
  readonly limitPerPort: number;
  readonly agingSeconds: number;
  /** Where addresses of the network may be. */
  readonly locations: ReadonlySet<number>;
}

/** Priorities in stage learn: the model first, then what was learned, then what may be. */
export const learnPriority = Object.freeze({
  knownHere: 300,
  knownElsewhere: 250,
  knownToModel: 240,
  learnedHere: 100,
  sourceFull: 50,
  unknown: 0,
});

/** A MAC address that was learned behind a location of a network. */
export interface LearnedAddress {
  readonly vni: number;
  readonly mac: Uint8Array;
  readonly location: number;
}

/** The two rules of a learned address: its packets pass, and packets for it find it. */
export function learnedRules({ vni, mac, location }: LearnedAddress): readonly Rule[] {
  const id = `${vni}/learned/${Buffer.from(mac).toString('hex')}`;
  const origin: Origin = { object: `learned in VNI ${vni}`, path: '' };
  return [
    makeRule('learn', {
      id,
      priority: learnPriority.learnedHere,
      match: new Match()
        .register('network', vni)
        .register('source', location)
        .bytes('eth_src', mac),
      steps: [],
      origin,
    }),
    makeRule('l2-learned', {
      id,
      priority: learnPriority.learnedHere,
      match: new Match().register('network', vni).bytes('eth_dst', mac),
      steps: [{ kind: 'set', register: register.destination, value: location }],
      origin,
    }),
  ];
}

/** The rule of a location that has learned as many addresses as it may. */
export function learnFullRule(vni: number, location: number): Rule {
  return makeRule('learn', {
    id: `${vni}/full/${location}`,
    priority: learnPriority.sourceFull,
    match: new Match().register('network', vni).register('source', location),
    steps: [{ kind: 'drop', reason: dropReason.LearnLimit }],
    origin: { object: `learned in VNI ${vni}`, path: '' },
  });
}
