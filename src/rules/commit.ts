// rules/commit.ts — stage commit: connections that begin, remembered in the zone of their network.
//
// The policy stages only say that a packet starts a connection; it is committed here, once, when
// both the sender's and the receiver's firewall have let it pass, so that what one of them denies
// leaves no trace. Committing comes before all that sends the packet, which consumes it; what a
// router has answered by then (TTL, MTU) has begun nothing.

import { action } from '../flow/actions.ts';
import { Match, RuleList } from '../pipeline/match.ts';
import type { Topology } from './topology.ts';

export function commitRules({ networks }: Topology): RuleList {
  const list = new RuleList();
  for (const { network, vni, zone } of networks) {
    if (zone === 0) continue;
    list.add('commit', {
      id: network.name,
      priority: 100,
      match: new Match().register('network', vni).register('commit', 1),
      steps: [{ kind: 'actions', words: action.ctCommit(zone) }],
      origin: { object: `network ${network.name}`, path: `networks[${network.name}]` },
    });
  }
  return list;
}
