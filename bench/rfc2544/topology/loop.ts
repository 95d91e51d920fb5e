// bench/rfc2544/topology/loop.ts — a veth pair from end to end: what the generator itself can do.
//
// Every report has it, since a generator at its limit says nothing of a switch. The scenario makes
// no difference.

import type { Lab } from '../../../test/support/netns.ts';
import type { Path } from '../path.ts';
import { LabSystem } from './lab-system.ts';

const ends = [
  { ns: 'c1', name: 'eth0', mac: '02:00:00:00:00:01', ip: '10.0.0.1' },
  { ns: 'c2', name: 'eth0', mac: '02:00:00:00:00:02', ip: '10.0.0.2' },
] as const;

export class Loop extends LabSystem {
  readonly name = 'loop';
  protected readonly needs = [];

  async version(): Promise<string> {
    return 'a veth pair';
  }

  protected async construct(lab: Lab): Promise<Path> {
    await lab.namespace(...ends.map(({ ns }) => ns));
    const [left, right] = ends;
    await lab.veth({ ...left, ip: `${left.ip}/24` }, { ...right, ip: `${right.ip}/24` });
    const end = (own: (typeof ends)[number], other: (typeof ends)[number]) => ({
      namespace: lab.realName(own.ns),
      device: own.name,
      mac: own.mac,
      ip: own.ip,
      nextHopMac: other.mac,
    });
    return { ends: [end(left, right), end(right, left)] };
  }
}
