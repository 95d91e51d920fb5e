// rules/firewall.ts — which firewall each port has: its security groups, and what comes before.
//
// A port that names security groups is closed but for what their rules allow, as in Neutron. Before
// them come the basics: what a host needs to be one at all (DHCP, neighbour discovery, multicast
// listener reports), so that no rule has to say it. With port security on, such a port may not play
// DHCP server or IPv6 router either. A port that names no group is open.

import type { Document, Port } from '../model/document.ts';

/** Names of rule blocks. */
export const basicsBlock = 'basics';
export const rolesBlock = 'roles';
export const groupBlock = (name: string): string => `group ${name}`;

/** What is judged by the same rules has the same of all of these. */
export interface Firewall {
  /** Tells firewalls apart. */
  readonly name: string;
  readonly basics: readonly string[];
  readonly tiers: readonly (readonly string[])[];
  readonly stateful: boolean;
}

/** Finds the firewall of each port; undefined: the port is open. */
export function firewallsOf(document: Document): (port: Port) => Firewall | undefined {
  const stateless = new Set(
    document.securityGroups.filter(({ stateful }) => !stateful).map(({ name }) => name),
  );
  const known = new Map<string, Firewall>();
  return ({ securityGroups, portSecurity }) => {
    if (securityGroups.length === 0) return undefined;
    const groups = [...securityGroups].sort();
    const name = [groups.join('+'), ...(portSecurity ? [] : ['any role'])].join(', ');
    let firewall = known.get(name);
    if (firewall === undefined) {
      firewall = {
        name,
        basics: portSecurity ? [basicsBlock, rolesBlock] : [basicsBlock],
        tiers: [groups.map(groupBlock)],
        stateful: !groups.some((group) => stateless.has(group)),
      };
      known.set(name, firewall);
    }
    return firewall;
  };
}
