// rules/advertise.ts — which router a network is told of, and what it is told (RFC 4861, SLAAC).
//
// The program makes an advertisement of a solicitation: of one that a host sent (rules/arp-nd.ts),
// or of one that vtepd makes itself when it is time for an unsolicited one (switch/advertiser.ts).
// One packet has one answer, so that one router is advertised in a network: the first of the
// document that has a subnet to advertise there. model/coverage.ts says so of the others.

import { action } from '../flow/actions.ts';
import { prefixesAdvertisedMax } from '../model/coverage.ts';
import { gatewaysIn, type RouterPlan } from './routers.ts';
import type { NetworkView, Topology } from './topology.ts';

/**
 * Seconds that a router is good for without another word: three times the longest pause between
 * two unsolicited advertisements (RFC 4861 section 6.2.1).
 */
export const routerLifetimeSeconds = 1800;

export interface AdvertisedRouter {
  readonly plan: RouterPlan;
  /** Turns a solicitation into the advertisement; the output is still to come. */
  readonly words: readonly Uint32Array[];
}

/** The router that is advertised in a network; undefined: none is. */
export function advertisedIn(network: NetworkView): AdvertisedRouter | undefined {
  const slaacOf = (plan: RouterPlan) =>
    gatewaysIn(plan, network.network.name).filter(({ subnet }) => subnet.ipv6RaMode === 'slaac');
  const plan = network.routers.find((one) => slaacOf(one).length > 0);
  if (plan === undefined) return undefined;
  const advert = action.routerAdvert(plan.mac, network.network.mtu, routerLifetimeSeconds);
  const prefixes = slaacOf(plan)
    .slice(0, prefixesAdvertisedMax)
    .map(({ cidr }) => action.routerPrefix(cidr.bytes, cidr.prefix));
  return { plan, words: [advert, ...prefixes] };
}

/** What the local ports of a network are told unasked. */
export interface Advertisement {
  readonly network: string;
  /** As in AdvertisedRouter, in one piece. */
  readonly program: Uint32Array;
  /** Device port numbers, and the VLAN of a logical port of a trunk or 0. */
  readonly ports: readonly { readonly device: number; readonly vlan: number }[];
}

/** Advertisements of all networks with a local port. */
export function advertisementsOf(topology: Topology): readonly Advertisement[] {
  return topology.networks.flatMap((network) => {
    const advertised = network.localPorts.length === 0 ? undefined : advertisedIn(network);
    if (advertised === undefined) return [];
    const ports = network.localPorts
      .filter(({ device }) => device !== 0)
      .map(({ device, port }) => ({ device, vlan: port.vlan ?? 0 }));
    const program = Uint32Array.from(advertised.words.flatMap((words) => [...words]));
    return [{ network: network.network.name, program, ports }];
  });
}
