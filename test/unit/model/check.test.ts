// model/check.test.ts — what is right together, and how long checking takes.
//
// What is wrong together is in test/fixtures/documents/wrong-together.txt (parse.test.ts).

import { describe, expect, test } from 'vitest';
import { checkDocument } from '../../../src/model/check.ts';
import type { Document } from '../../../src/model/document.ts';
import { documentFromValue } from '../../../src/model/parse.ts';
import { cpuMs } from '../../support/process.ts';

const hosts = [
  { name: 'h1', tunnelIp: '172.31.1.1' },
  { name: 'h2', tunnelIp: '172.31.1.2' },
  { name: 'old', tunnelIp: '172.31.1.9', kind: 'peer', networks: ['blue'] },
];
const networks = [
  { name: 'blue', vni: 100 },
  { name: 'red', vni: 200 },
];

/** Ports with the given fields, each on a device of its own unless they say otherwise. */
function withPorts(ports: object[], more: object = {}): unknown {
  const filled = ports.map((fields, index) => ({
    name: `c${index}`,
    network: 'blue',
    mac: `02:00:00:00:00:0${index}`,
    host: 'h1',
    device: `p${index}`,
    ...fields,
  }));
  return { hosts, networks, ports: filled, ...more };
}

describe('it is right', () => {
  const subnets = [{ name: 's', network: 'blue', cidr: '10.0.0.0/24', gateway: '10.0.0.254' }];
  const noDevice = { device: undefined };
  test.each<[string, unknown]>([
    ['to have nothing', {}],
    [
      'to use one MAC and IP address in two networks',
      withPorts([
        { mac: '02:00:00:00:00:aa', ips: ['10.0.0.1'] },
        { mac: '02:00:00:00:00:aa', ips: ['10.0.0.1'], network: 'red' },
      ]),
    ],
    [
      'to use one device name on two hosts',
      withPorts([{ device: 'eth0' }, { device: 'eth0', host: 'h2' }]),
    ],
    [
      'to have a port beside the VLANs of its device',
      withPorts([
        { device: 't' },
        { device: 't', vlan: 1 },
        { device: 't', vlan: 4094, network: 'red' },
      ]),
    ],
    [
      'to use any address in a network without subnets',
      withPorts([{ ips: ['192.0.2.1', 'fd00::1'] }]),
    ],
    ['to have a port without addresses in a network with subnets', withPorts([{}], { subnets })],
    [
      'to use both ends of a /31, and a /32',
      withPorts([{ ips: ['10.0.0.0', '10.0.0.1'] }, { ips: ['10.0.0.9'] }], {
        subnets: [
          { name: 'a', network: 'blue', cidr: '10.0.0.0/31' },
          { name: 'b', network: 'blue', cidr: '10.0.0.9/32' },
        ],
      }),
    ],
    [
      'to use the first and last address of an IPv6 subnet',
      withPorts([{ ips: ['fd00::ffff:ffff:ffff:ffff'] }], {
        subnets: [{ name: 'a', network: 'blue', cidr: 'fd00::/64' }],
      }),
    ],
    ['to have a port behind a peer', withPorts([{ host: 'old', ...noDevice }])],
    [
      'to have the same subnet in two networks, at two routers',
      {
        networks,
        subnets: [
          { name: 'a', network: 'blue', cidr: '10.0.0.0/24', gateway: '10.0.0.1' },
          { name: 'b', network: 'red', cidr: '10.0.0.0/24', gateway: '10.0.0.1' },
        ],
        routers: [
          { name: 'r1', subnets: ['a'] },
          { name: 'r2', subnets: ['b'] },
        ],
      },
    ],
    [
      'to have groups that name each other and themselves',
      {
        securityGroups: [
          { name: 'a', rules: [{ direction: 'ingress', remoteGroup: 'b' }] },
          {
            name: 'b',
            rules: [
              { direction: 'ingress', remoteGroup: 'a' },
              { direction: 'egress', remoteGroup: 'b' },
            ],
          },
        ],
      },
    ],
    [
      'to have one name in two sections',
      { hosts: [{ name: 'x', tunnelIp: '10.0.0.1' }], networks: [{ name: 'x', vni: 1 }] },
    ],
  ])('%s', (_, value) => {
    expect(checkDocument(documentFromValue(value))).toEqual([]);
  });
});

describe('overlaps', () => {
  test('are found among nested and adjacent subnets, each once', () => {
    const cidrs = ['10.0.0.0/16', '10.0.1.0/24', '10.1.0.0/24', '10.0.255.0/24', '10.1.1.0/24'];
    const document = {
      ...documentFromValue({ networks }),
      subnets: cidrs.map((cidr, index) => ({ name: `s${index}`, network: 'blue', cidr })),
    };
    const messages = checkDocument(document).map(({ path, message }) => `${path[1]} ${message}`);
    expect(messages).toEqual([
      '1 10.0.1.0/24 overlaps subnet "s0"',
      '3 10.0.255.0/24 overlaps subnet "s0"',
    ]);
  });
});

describe('checking takes', () => {
  test('well under 100 ms for 100 ports and 1000 networks', () => {
    expect(medianMs(largeDocument(100, 1000))).toBeLessThan(100);
  });

  test('under 2 s for 100 000 ports', () => {
    expect(medianMs(largeDocument(100_000, 1000))).toBeLessThan(2000);
  });

  test('no longer than that for 100 000 ports that are all wrong', () => {
    const document = largeDocument(100_000, 1000);
    const wrong = { ...document, hosts: [], networks: document.networks.slice(0, 500) };
    expect(medianMs(wrong)).toBeLessThan(2000);
    expect(checkDocument(wrong).length).toBeGreaterThan(100_000);
  });
});

/** Middle of three runs: the first is slow, and any may have to collect garbage. */
function medianMs(document: Document): number {
  const times = [0, 1, 2].map(() => cpuMs(() => checkDocument(document)));
  return times.sort((one, other) => one - other)[1] as number;
}

function largeDocument(portCount: number, networkCount: number): Document {
  const empty = documentFromValue({});
  const hex = (index: number) => (index + 0x100000).toString(16).match(/../g)?.join(':');
  return {
    ...empty,
    hosts: Array.from({ length: 100 }, (_, index) => ({
      name: `h${index}`,
      tunnelIp: `172.31.1.${index + 1}`,
      kind: 'vtepd',
      networks: [],
    })),
    networks: Array.from({ length: networkCount }, (_, index) => ({
      name: `n${index}`,
      vni: index + 1,
      encap: 'vxlan',
      mtu: 1450,
      learning: false,
    })),
    subnets: Array.from({ length: networkCount }, (_, index) => ({
      name: `s${index}`,
      network: `n${index}`,
      cidr: '10.0.0.0/16',
      gateway: '10.0.255.254',
    })),
    ports: Array.from({ length: portCount }, (_, index) => ({
      name: `p${index}`,
      network: `n${index % networkCount}`,
      mac: `02:00:00:${hex(index)}`,
      ips: [`10.0.0.${1 + Math.floor(index / networkCount)}`],
      host: `h${index % 100}`,
      device: `d${Math.floor(index / 100)}`,
      mode: 'auto',
      portSecurity: true,
      allowedAddressPairs: [],
      securityGroups: [],
    })),
  };
}
