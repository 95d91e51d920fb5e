// model/arbitrary-document.ts — random documents that are right, for properties.
//
// Names and addresses come from indexes, so that references hold and nothing is used twice;
// everything else is free.

import fc from 'fast-check';
import type { Document, Network, Port, Router, Rule } from '../../../src/model/document.ts';
import { aclActions, encaps, portModes } from '../../../src/model/document.ts';

export type Step = string | number;

const learning = fc.oneof(
  fc.constant<Network['learning']>(false),
  fc.record({
    limitPerPort: fc.integer({ min: 1, max: 65536 }),
    agingSeconds: fc.integer({ min: 1, max: 86400 }),
  }),
);

const networkFields = fc.record({
  encap: fc.constantFrom(...encaps),
  mtu: fc.integer({ min: 1280, max: 9216 }),
  learning,
});

const rule: fc.Arbitrary<Rule> = fc.oneof(
  fc.record({
    direction: fc.constantFrom('ingress' as const, 'egress' as const),
    protocol: fc.constantFrom('tcp' as const, 'udp' as const, 132),
    ports: fc
      .tuple(fc.nat(30000), fc.nat(30000))
      .map(([first, more]) => (more === 0 ? `${first}` : `${first}-${first + more}`)),
    remote: fc.constantFrom('0.0.0.0/0', '::/0', '192.0.2.7', 'fd00:9::/48'),
  }),
  fc.record({
    direction: fc.constantFrom('ingress' as const, 'egress' as const),
    protocol: fc.constant('icmpv6' as const),
    icmpType: fc.integer({ min: 0, max: 255 }),
    icmpCode: fc.integer({ min: 0, max: 255 }),
    remoteSet: fc.constant('set-0'),
  }),
  fc.record({
    direction: fc.constantFrom('ingress' as const, 'egress' as const),
    protocol: fc.constantFrom('any' as const, 'icmp' as const, 47),
    remoteGroup: fc.constant('group-0'),
  }),
);

const acl = fc
  .tuple(
    rule,
    fc.record({
      priority: fc.nat(32767),
      action: fc.constantFrom(...aclActions),
      networks: fc.subarray(['network-0']),
      securityGroups: fc.subarray(['group-0']),
    }),
  )
  .map(([traffic, fields]) => ({ ...fields, ...traffic }));

const portFields = fc.record(
  {
    mode: fc.constantFrom(...portModes),
    portSecurity: fc.boolean(),
    groups: fc.boolean(),
    vlan: fc.integer({ min: 1, max: 4094 }),
    qos: fc.record(
      { ingress: fc.constantFrom('1bit', '100mbit', '2500mbit'), egress: fc.constant('1gbit') },
      { requiredKeys: [] },
    ),
    pairs: fc.array(
      fc.record(
        { ip: fc.constantFrom('10.0.0.9', 'fd00::/64'), mac: fc.constant('00:00:5e:00:01:01') },
        { requiredKeys: ['ip'] },
      ),
      { maxLength: 2 },
    ),
    ipCount: fc.nat(2),
  },
  { requiredKeys: ['mode', 'portSecurity', 'groups', 'pairs', 'ipCount'] },
);

interface Routed {
  readonly four: readonly number[];
  readonly six: readonly number[];
  readonly hops: readonly number[];
  readonly mac: boolean;
}

type PortFields = typeof portFields extends fc.Arbitrary<infer Fields> ? Fields : never;

const shape = fc.record({
  hosts: fc.array(fc.boolean(), { minLength: 1, maxLength: 4 }),
  ipv6Underlay: fc.boolean(),
  networks: fc.array(networkFields, { minLength: 1, maxLength: 3 }),
  rules: fc.array(rule, { maxLength: 4 }),
  stateful: fc.boolean(),
  acls: fc.array(acl, { maxLength: 3 }),
  ports: fc.array(portFields, { maxLength: 6 }),
  routed: fc.record({
    four: fc.subarray([0, 1, 2]),
    six: fc.subarray([0, 1, 2]),
    hops: fc.subarray([1, 2, 3, 200]),
    mac: fc.boolean(),
  }),
});

function hex(index: number): string {
  return index.toString(16).padStart(2, '0');
}

function routerOf({ four, six, hops, mac }: Routed, networkCount: number): Router {
  const joined = (indexes: readonly number[]) => indexes.filter((index) => index < networkCount);
  const [first] = joined(four);
  const nextHops = first === undefined ? [] : hops.map((last) => `10.0.${first}.${last}`);
  return {
    name: 'router-0',
    subnets: [
      ...joined(four).map((index) => `four-${index}`),
      ...joined(six).map((index) => `six-${index}`),
    ],
    ...(mac ? { mac: '0e:00:00:00:00:01' } : {}),
    routes: nextHops.length === 0 ? [] : [{ destination: '9.0.0.0/8', nextHops }],
  };
}

function portOf(fields: PortFields, index: number, networkCount: number, hostCount: number): Port {
  const { mode, portSecurity, groups, vlan, qos, pairs, ipCount } = fields;
  const network = index % networkCount;
  return {
    name: `port-${index}`,
    network: `network-${network}`,
    mac: `02:00:00:00:00:${hex(index)}`,
    ips: [`10.0.${network}.${index + 1}`, `fd00:0:0:${network + 1}::${hex(index + 1)}`]
      .map((text) => text.replace('::0', '::'))
      .slice(0, ipCount),
    // Host 0 is never a peer.
    host: `host-${index % 2 === 0 ? 0 : hostCount}`,
    device: `dev${index}`,
    ...(vlan === undefined ? {} : { vlan }),
    mode,
    portSecurity,
    allowedAddressPairs: pairs,
    securityGroups: groups ? ['group-0'] : [],
    ...(qos === undefined ? {} : { qos }),
  };
}

/** Any document that is right: 1 to 5 hosts, up to 3 networks and 6 ports. */
export const arbitraryDocument: fc.Arbitrary<Document> = shape.map((given) => {
  const tunnelIp = (index: number) =>
    given.ipv6Underlay ? `fd00:172::${index + 1}` : `172.31.1.${index + 1}`;
  const peers = given.hosts.map((listed, index) => ({
    name: `host-${index + 1}`,
    tunnelIp: tunnelIp(index + 1),
    kind: 'peer' as const,
    networks: listed ? ['network-0'] : [],
  }));
  const last = given.hosts.length + 1;
  return {
    hosts: [
      { name: 'host-0', tunnelIp: tunnelIp(0), kind: 'vtepd', networks: [] },
      ...peers,
      { name: `host-${last}`, tunnelIp: tunnelIp(last), kind: 'vtepd', networks: [] },
    ],
    networks: given.networks.map((fields, index) => ({
      name: `network-${index}`,
      vni: index + 1,
      ...fields,
    })),
    subnets: given.networks.flatMap((_, index) => [
      {
        name: `four-${index}`,
        network: `network-${index}`,
        cidr: `10.0.${index}.0/24`,
        gateway: `10.0.${index}.254`,
      },
      {
        name: `six-${index}`,
        network: `network-${index}`,
        cidr: `fd00:0:0:${index + 1}::/64`,
        gateway: `fd00:0:0:${index + 1}::fe`,
      },
    ]),
    routers: [routerOf(given.routed, given.networks.length)],
    securityGroups: [{ name: 'group-0', rules: given.rules, stateful: given.stateful }],
    addressSets: [{ name: 'set-0', addresses: ['192.0.2.0/24', '2001:db8::1'] }],
    acls: given.acls.map((fields, index) => ({ name: `acl-${index}`, ...fields })),
    ports: given.ports.map((fields, index) => portOf(fields, index, given.networks.length, last)),
  };
});

/** Paths to everything in a document that is neither a mapping nor a list. */
export function leafPaths(value: unknown, path: readonly Step[] = []): (readonly Step[])[] {
  if (typeof value !== 'object' || value === null) return [path];
  return Object.entries(value).flatMap(([key, part]) =>
    leafPaths(part, [...path, Array.isArray(value) ? Number(key) : key]),
  );
}

/** A copy with one part replaced or added. */
export function setAt(value: unknown, path: readonly Step[], part: unknown): unknown {
  const [step, ...rest] = path;
  if (step === undefined) return part;
  if (Array.isArray(value)) {
    return value.map((entry, index) => (index === step ? setAt(entry, rest, part) : entry));
  }
  const object = value as Record<string, unknown>;
  return { ...object, [step]: setAt(object[step], rest, part) };
}
