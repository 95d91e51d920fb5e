// rules/firewall.ts — which firewall each port has: its security groups, and what comes before.
//
// A port that names security groups is closed but for what their rules allow, as in Neutron. Before
// them come the ACLs of the administrator that hold for the port: those of its network, of one of
// its groups, or of everyone. Before all come the basics: what a host needs to be one at all (DHCP,
// neighbour discovery, multicast listener reports), so that no rule has to say it. With port
// security on, a port with groups may not play DHCP server or IPv6 router either. A port that names
// no group is open but for ACLs; with neither it has no firewall.
//
// ACLs that hold for the same ports are one block: a port has as many blocks of ACLs as there are
// different sets of ports that it is in, whatever the number of ACLs.

import type { Acl, Document, Port } from '../model/document.ts';

/** Names of rule blocks. */
export const basicsBlock = 'basics';
export const rolesBlock = 'roles';
export const groupBlock = (name: string): string => `group ${name}`;

/** Which ports an ACL holds for; ACLs for the same ones are one block. */
export function aclScope({ networks, securityGroups }: Acl): string {
  const holdsFor = [
    ...networks.map((name) => `network ${name}`),
    ...securityGroups.map((name) => `group ${name}`),
  ].sort();
  return holdsFor.join(', ') || 'all ports';
}

export const aclBlock = (scope: string, stateful: boolean): string =>
  `${stateful ? 'acls' : 'stateless acls'} of ${scope}`;

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
  const aclsOf = aclsByPort(document.acls);
  const known = new Map<string, Firewall>();
  return (port) => {
    const groups = [...port.securityGroups].sort();
    const stateful = !groups.some((group) => stateless.has(group));
    const acls = aclsOf(port, stateful);
    if (groups.length + acls.length === 0) return undefined;
    const roles = groups.length > 0 && port.portSecurity;
    const name = [groups.join('+'), ...(roles ? [rolesBlock] : []), ...acls].join(', ');
    let firewall = known.get(name);
    if (firewall === undefined) {
      firewall = {
        name,
        basics: roles ? [basicsBlock, rolesBlock] : [basicsBlock],
        tiers: [...(acls.length > 0 ? [acls] : []), groups.map(groupBlock)],
        stateful,
      };
      known.set(name, firewall);
    }
    return firewall;
  };
}

/** Finds the blocks of ACLs that hold for a port, sorted. */
function aclsByPort(acls: readonly Acl[]): (port: Port, stateful: boolean) => string[] {
  const everywhere = new Set<string>();
  const byOwner = new Map<string, Set<string>>();
  for (const acl of acls) {
    const scope = aclScope(acl);
    const owners = [
      ...acl.networks.map((name) => `network ${name}`),
      ...acl.securityGroups.map((name) => `group ${name}`),
    ];
    if (owners.length === 0) everywhere.add(scope);
    for (const owner of owners) byOwner.set(owner, (byOwner.get(owner) ?? new Set()).add(scope));
  }
  return ({ network, securityGroups }, stateful) => {
    const owners = [`network ${network}`, ...securityGroups.map((name) => `group ${name}`)];
    const scopes = [...everywhere, ...owners.flatMap((owner) => [...(byOwner.get(owner) ?? [])])];
    return [...new Set(scopes)].sort().map((scope) => aclBlock(scope, stateful));
  };
}
