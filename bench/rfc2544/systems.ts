// bench/rfc2544/systems.ts — what can be tested: systems in namespaces, and what a file names.
//
// The loop is first: it tells what the generator itself can do. Systems of one list take turns and
// use the same names of namespaces' insides, but never stand at the same time.

import type { System } from './path.ts';
import { KernelSystem } from './topology/kernel.ts';
import { Loop } from './topology/loop.ts';
import { OvsSystem } from './topology/ovs.ts';
import { VtepdSystem } from './topology/vtepd.ts';

export { systemsOf } from './topology/named.ts';

export const systems: readonly System[] = [
  new Loop(),
  new VtepdSystem({ name: 'vtepd-af-packet', mode: 'af_packet' }),
  new VtepdSystem({ name: 'vtepd-af-xdp', mode: 'af_xdp' }),
  new KernelSystem(),
  new OvsSystem(),
];
