// rules/compile.ts — the document, as seen by one host, turned into rules and data path objects.
//
// Pure but for `numbering`, which gives new names their numbers. Always the whole document: the
// difference to what is installed is taken afterwards (diff.ts), so that no change can be
// forgotten. What was compiled before serves only where the same objects of the document would be
// compiled again to the same: with many ports, a change of rules or address sets alone costs what
// that change costs.

import { type Document, documentKinds } from '../model/document.ts';
import type { LearningNetwork } from '../pipeline/learned.ts';
import { noPolicy, type Policy } from '../pipeline/policy.ts';
import type { Rule } from '../pipeline/rule.ts';
import { type Advertisement, advertisementsOf } from './advertise.ts';
import { arpNdRules } from './arp-nd.ts';
import { classifyRules } from './classify.ts';
import { commitRules } from './commit.ts';
import { l2Rules } from './l2.ts';
import { learnRules } from './learn.ts';
import { type DatapathObjects, objectsOf } from './objects.ts';
import { policyOf } from './policy.ts';
import { portSecurityRules } from './port-security.ts';
import { routingRules } from './routing.ts';
import { type NetworkView, type Topology, type TopologyOptions, topologyOf } from './topology.ts';

export interface Compiled {
  /** Rules of all stages by id, but for those of the policy. */
  readonly rules: ReadonlyMap<string, Rule>;
  readonly policy: Policy;
  readonly objects: DatapathObjects;
  /** By VNI. */
  readonly learning: ReadonlyMap<number, LearningNetwork>;
  /** What hosts are told of their routers unasked. */
  readonly advertisements: readonly Advertisement[];
  /** What it was made of; undefined: nothing. */
  readonly source?: CompileSource;
}

interface CompileSource {
  readonly document: Document;
  readonly options: TopologyOptions;
  readonly topology: Topology;
}

/** Each file of this folder that writes rules. */
const writers = [
  classifyRules,
  portSecurityRules,
  learnRules,
  arpNdRules,
  routingRules,
  l2Rules,
  commitRules,
];

/**
 * Everything that the host needs to do its part of the document, which must have passed the checks
 * of src/model. Throws ERR_NOT_FOUND when the document lacks the host, ERR_LIMIT when numbers run
 * out.
 */
export function compile(
  document: Document,
  options: TopologyOptions,
  before: Compiled = nothingCompiled,
): Compiled {
  const { source } = before;
  if (source !== undefined && sameButPolicy(source, document, options)) {
    const policy = policyOf(document, source.topology, before.policy);
    return { ...before, policy, source: { ...source, document } };
  }
  const topology = topologyOf(document, options);
  const rules = new Map<string, Rule>();
  for (const write of writers) {
    for (const rule of write(topology).rules) {
      if (rules.has(rule.id)) throw new Error(`two rules have the id ${rule.id}`);
      rules.set(rule.id, rule);
    }
  }
  const learning = new Map(
    topology.networks.flatMap((network) => {
      const entry = learningOf(network);
      return entry === undefined ? [] : [[entry.vni, entry] as const];
    }),
  );
  const policy = policyOf(document, topology, before.policy);
  const made = { document, options, topology };
  const advertisements = advertisementsOf(topology);
  const objects = objectsOf(topology);
  return { rules, policy, objects, learning, advertisements, source: made };
}

/** True when only rules of groups and address sets may differ, of which nothing else is made. */
function sameButPolicy(source: CompileSource, document: Document, options: TopologyOptions) {
  const { host, numbering, uplinkDevice } = source.options;
  if (host !== options.host || numbering !== options.numbering) return false;
  if (uplinkDevice !== options.uplinkDevice) return false;
  const groups = source.document.securityGroups;
  const sameGroups =
    groups.length === document.securityGroups.length &&
    groups.every(({ name, stateful }, index) => {
      const other = document.securityGroups[index]!;
      return name === other.name && stateful === other.stateful;
    });
  return documentKinds.every((kind) => {
    if (kind === 'addressSets') return true;
    return kind === 'securityGroups' ? sameGroups : source.document[kind] === document[kind];
  });
}

/** What a host has without a document: no rule, no object. */
export const nothingCompiled: Compiled = Object.freeze({
  rules: new Map(),
  policy: noPolicy,
  objects: {
    ports: new Map(),
    tunnels: new Map(),
    groups: new Map(),
    networks: new Map(),
    zones: new Map(),
    meters: new Map(),
    endpoints: [],
  },
  learning: new Map(),
  advertisements: [],
});

function learningOf(view: NetworkView): LearningNetwork | undefined {
  const { network, vni, learning, localPorts, tunnels } = view;
  if (learning === false || localPorts.length === 0) return undefined;
  const locations = new Set([...localPorts, ...tunnels].map(({ location }) => location));
  return { name: network.name, vni, ...learning, locations };
}
