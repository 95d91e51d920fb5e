// pipeline/stages.ts — the stages of the pipeline, in the order in which a packet meets them.
//
// This list is the only place that knows the order. Rules may go on to the next stage or jump
// forward, never back, so every walk ends. A stage that misses either drops, with the reason given
// here, or hands the packet on.

import { type DropReasonSymbol, dropReason } from '../flow/drop-reasons.ts';

const list = [
  ['classify', 'UnknownPort', 'device and VLAN, or VNI, to network and logical port'],
  ['admit', undefined, 'frames that no switch forwards'],
  ['tunnel-source', undefined, 'packets of a tunnel come from where the model has their source'],
  ['port-mac', undefined, 'port security: source MAC'],
  ['port-address', undefined, 'port security: source IP and ARP sender'],
  ['port-nd', undefined, 'port security: claims in neighbour discovery'],
  ['learn', undefined, 'source MACs of networks that learn'],
  ['neighbours', undefined, 'ARP and ND answered from the model'],
  ['egress-policy', undefined, 'firewall of the port that sends'],
  ['router', undefined, 'packets for a gateway: answered, or to be routed'],
  ['route', undefined, 'longest prefix to network and next hop'],
  ['next-hop', undefined, 'next hop to MAC'],
  ['l2', 'UnknownMac', 'destination MAC to port or VTEP'],
  ['l2-learned', 'UnknownMac', 'destination MAC among the learned ones'],
  ['ingress-policy', undefined, 'firewall of the port that receives'],
  ['commit', undefined, 'new connections that both let pass'],
  ['deliver', 'NoOutput', 'the way out: device, tunnel or replication'],
] as const;

export type StageName = (typeof list)[number][0];

export interface Stage {
  readonly name: StageName;
  /** Place in the pipeline, from 0. */
  readonly index: number;
  /** Reason number when no rule matches; undefined: the next stage decides. */
  readonly missReason: number | undefined;
  /** What the stage decides, for traces. */
  readonly summary: string;
}

/** All stages in order; the index is the place. */
export const stages: readonly Stage[] = list.map(([name, miss, summary], index) => ({
  name,
  index,
  missReason: miss === undefined ? undefined : dropReason[miss satisfies DropReasonSymbol],
  summary,
}));

/** Places by name: `stageIndex.l2`. */
export const stageIndex = Object.freeze(
  Object.fromEntries(stages.map(({ name, index }) => [name, index])),
) as { readonly [Name in StageName]: number };
