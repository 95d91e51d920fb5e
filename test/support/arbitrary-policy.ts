// support/arbitrary-policy.ts — random firewalls, and packets that meet or nearly meet their rules.
//
// Two networks with equal addresses, joined by a router or not, and a third one; ports, groups and
// address sets in any number and order. Numbers come from few values, so that rules overlap, nest
// and touch.

import fc from 'fast-check';
import { aclActions, type Document, type Port, type Rule } from '../../src/model/document.ts';
import { documentFromValue } from '../../src/model/parse.ts';
import { bytesOf, type PlainPacket } from './plain-firewall.ts';

const prefixes4 = [
  '10.0.0.0/8',
  '10.0.0.0/29',
  '10.0.0.2',
  '10.0.0.3',
  '192.0.2.0/25',
  '0.0.0.0/0',
];
const prefixes6 = ['fd00::/16', 'fd00::2', 'fd00::/125', '2001:db8::/33', '::/0'];
const addresses4 = ['10.0.0.1', '10.0.0.2', '10.0.0.3', '10.0.0.9', '192.0.2.1', '192.0.2.129'];
const addresses6 = ['fd00::1', 'fd00::2', 'fd00::9', '2001:db8::1', '2001:db8:8000::1'];
const portNumbers = [0, 21, 22, 67, 68, 80, 443, 546, 547, 1023, 1024, 8080, 30000, 32767, 65535];
const icmpTypes = [0, 3, 8, 11, 13, 14, 128, 129, 130, 133, 134, 135, 136, 143, 255];
const groupNames = ['a', 'b', 'c'];
const setNames = ['s', 't'];

const direction = fc.constantFrom('ingress' as const, 'egress' as const);
const portRange = fc
  .tuple(fc.constantFrom(...portNumbers), fc.constantFrom(...portNumbers))
  .map(([one, other]) => `${Math.min(one, other)}-${Math.max(one, other)}`);

const remoteOf = (prefixes: readonly string[]) =>
  fc.oneof(
    fc.constant({}),
    fc.constantFrom(...prefixes).map((remote) => ({ remote })),
    fc.constantFrom(...groupNames).map((remoteGroup) => ({ remoteGroup })),
    fc.constantFrom(...setNames).map((remoteSet) => ({ remoteSet })),
  );

const services = fc.oneof(
  fc.record(
    { protocol: fc.constantFrom('tcp', 'udp', 'sctp', 6), ports: portRange },
    { requiredKeys: ['protocol'] },
  ),
  fc.constantFrom({ protocol: 'any' }, { protocol: 47 }, { protocol: 0 }),
);
const icmp = (protocols: readonly (string | number)[]) =>
  fc
    .record({
      protocol: fc.constantFrom(...protocols),
      icmpType: fc.option(fc.constantFrom(...icmpTypes), { nil: undefined }),
      icmpCode: fc.option(fc.constantFrom(0, 1, 255), { nil: undefined }),
    })
    .map(({ icmpCode, ...rest }) =>
      rest.icmpType === undefined || icmpCode === undefined ? rest : { ...rest, icmpCode },
    );

const rule = fc
  .oneof(
    { weight: 4, arbitrary: fc.tuple(services, remoteOf([...prefixes4, ...prefixes6])) },
    { weight: 1, arbitrary: fc.tuple(icmp(['icmp', 1]), remoteOf(prefixes4)) },
    { weight: 1, arbitrary: fc.tuple(icmp(['icmpv6', 58]), remoteOf(prefixes6)) },
  )
  .chain(([service, remote]) =>
    direction.map((way) => ({ direction: way, ...service, ...remote })),
  );

const port = fc.record({
  network: fc.constantFrom('one', 'two'),
  groups: fc.subarray(groupNames),
  portSecurity: fc.boolean(),
  pairs: fc.subarray(['10.0.0.8/30', 'fd00::8/126']),
});

const shape = fc.record({
  groups: fc.array(fc.array(rule as fc.Arbitrary<Partial<Rule>>, { maxLength: 6 }), {
    minLength: groupNames.length,
    maxLength: groupNames.length,
  }),
  acls: fc.array(
    fc.tuple(
      rule as fc.Arbitrary<Partial<Rule>>,
      fc.record({
        // Zero is the rank of nothing else; equal ones are many.
        priority: fc.constantFrom(0, 1, 1, 2, 32767),
        action: fc.constantFrom(...aclActions),
        networks: fc.subarray(['one', 'two']),
        securityGroups: fc.subarray(groupNames),
      }),
    ),
    { maxLength: 4 },
  ),
  stateful: fc.boolean(),
  sets: fc.array(fc.subarray([...prefixes4.slice(0, -1), ...prefixes6]), {
    minLength: setNames.length,
    maxLength: setNames.length,
  }),
  ports: fc.array(port, { minLength: 2, maxLength: 5 }),
  routed: fc.boolean(),
});

/** A document whose ports are all on host h1, each with a device of its name. */
export const arbitraryPolicy: fc.Arbitrary<Document> = shape.map((given) =>
  documentFromValue({
    hosts: [
      { name: 'h1', tunnelIp: '172.31.1.1' },
      { name: 'h2', tunnelIp: '172.31.1.2' },
    ],
    networks: ['one', 'two'].map((name, index) => ({ name, vni: index + 1 })),
    subnets: [
      { name: 'one4', network: 'one', cidr: '10.0.0.0/16', gateway: '10.0.255.254' },
      { name: 'two4', network: 'two', cidr: '10.0.0.0/24' },
      { name: 'routed4', network: 'two', cidr: '10.1.0.0/16', gateway: '10.1.255.254' },
    ],
    routers: given.routed ? [{ name: 'r', subnets: ['one4', 'routed4'] }] : [],
    securityGroups: given.groups.map((rules, index) => {
      return { name: groupNames[index]!, rules, stateful: given.stateful };
    }),
    addressSets: given.sets.map((addresses, index) => ({ name: setNames[index]!, addresses })),
    acls: given.acls.map(([traffic, fields], index) => {
      return { name: `acl-${index}`, ...traffic, ...fields };
    }),
    ports: given.ports.map((fields, index) => ({
      name: `p${index + 1}`,
      network: fields.network,
      mac: `02:00:00:00:00:0${index + 1}`,
      ips: [`10.0.0.${index + 1}`],
      host: 'h1',
      device: `p${index + 1}`,
      portSecurity: fields.portSecurity,
      allowedAddressPairs: fields.pairs.slice(0, index % 3).map((ip) => ({ ip })),
      securityGroups: fields.groups,
    })),
  }),
);

/** A number at or next to one of these, or any other of 16 bits. */
const near = (numbers: readonly number[], most: number) =>
  fc.oneof(
    { weight: 3, arbitrary: fc.constantFrom(...numbers) },
    {
      weight: 2,
      arbitrary: fc
        .tuple(fc.constantFrom(...numbers), fc.constantFrom(-1, 1))
        .map(([number, more]) => Math.min(most, Math.max(0, number + more))),
    },
    { weight: 1, arbitrary: fc.nat(most) },
  );

/** Packets of requests. */
export const arbitraryRequest: fc.Arbitrary<PlainPacket> = fc
  .record({
    six: fc.boolean(),
    address4: fc.constantFrom(...addresses4),
    address6: fc.constantFrom(...addresses6),
    protocol: fc.constantFrom(6, 6, 17, 17, 17, 132, 47, 0, 1, 58),
    sourcePort: near(portNumbers, 65535),
    destinationPort: near(portNumbers, 65535),
    type: near(icmpTypes, 255),
    code: near([0, 1], 255),
    laterFragment: fc.integer({ min: 0, max: 9 }).map((value) => value === 0),
  })
  .map(({ six, address4, address6, ...packet }) => {
    return { ...packet, remote: bytesOf(six ? address6 : address4) };
  });

/** A port of the document. */
export function arbitraryPort({ ports }: Document): fc.Arbitrary<Port> {
  return fc.constantFrom(...ports);
}
