// rules/learn.ts — stages learn and l2-learned: the fixed rules around MAC learning.
//
// Only networks that ask for it learn. The model comes first: an address that it knows is never
// learned elsewhere. The rules of learned addresses (pipeline/learned.ts) stand between these.

import { dropReason } from '../flow/drop-reasons.ts';
import { learnPriority } from '../pipeline/learned.ts';
import { Match, RuleList } from '../pipeline/match.ts';
import { locationFlood, locationTunnel, register } from '../pipeline/registers.ts';
import type { NetworkView, Topology } from './topology.ts';

export function learnRules(topology: Topology): RuleList {
  const list = new RuleList();
  for (const network of topology.networks) {
    if (network.learning !== false && network.localPorts.length > 0) addNetwork(list, network);
  }
  return list;
}

function addNetwork(list: RuleList, view: NetworkView): void {
  const { network, vni, ports, routers } = view;
  const { name } = network;
  const origin = { object: `network ${name}`, path: `networks[${name}].learning` };
  for (const view of ports) {
    const portOrigin = {
      object: `port ${view.port.name}`,
      path: `ports[${view.port.name}].mac`,
    };
    const mac = () => new Match().register('network', vni).bytes('eth_src', view.mac);
    list.add('learn', {
      id: `${name}/known/${view.port.name}`,
      priority: learnPriority.knownHere,
      match: mac().register('source', view.location),
      steps: [],
      origin: portOrigin,
    });
    list.add('learn', {
      id: `${name}/elsewhere/${view.port.name}`,
      priority: learnPriority.knownElsewhere,
      match: mac().kind('source', locationTunnel),
      steps: [{ kind: 'drop', reason: dropReason.WrongNetworkVtep }],
      origin: portOrigin,
    });
    // A port without port security may speak for others, but the model stays as it is.
    list.add('learn', {
      id: `${name}/model/${view.port.name}`,
      priority: learnPriority.knownToModel,
      match: mac(),
      steps: [],
      origin: portOrigin,
    });
  }
  for (const { router, mac } of routers) {
    list.add('learn', {
      id: `${name}/router/${router.name}`,
      priority: learnPriority.knownToModel,
      match: new Match().register('network', vni).bytes('eth_src', mac),
      steps: [],
      origin: { object: `router ${router.name}`, path: `routers[${router.name}].mac` },
    });
  }
  list.add('learn', {
    id: `${name}/unknown`,
    priority: learnPriority.unknown,
    match: new Match().register('network', vni),
    steps: [{ kind: 'learn' }],
    origin,
  });
  list.add('l2-learned', {
    id: `${name}/unknown`,
    priority: learnPriority.unknown,
    match: new Match().register('network', vni),
    steps: [{ kind: 'set', register: register.destination, value: locationFlood }],
    origin,
  });
}
