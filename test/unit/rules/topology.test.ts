// rules/topology.test.ts — what concerns a host: networks, members, tunnels, gateways.

import { describe, expect, test } from 'vitest';
import { parseIp, parseMac } from '../../../src/lib/addresses.ts';
import { Numbering } from '../../../src/rules/numbering.ts';
import { linkLocalOf, topologyOf } from '../../../src/rules/topology.ts';
import { example } from './network.ts';

const view = (name: string, host: string) =>
  topologyOf(example(name), { host, numbering: new Numbering() });

describe('a host sees', () => {
  test('the networks that it has ports in, with the hosts that share them', () => {
    const { networks } = view('trunk.yaml', 'h1');
    const members = networks.map(({ network, tunnels }) => [
      network.name,
      tunnels.map(({ name }) => name),
    ]);
    expect(members).toEqual([
      ['blue', ['h2/vxlan']],
      ['red', ['h2/vxlan']],
      ['lab', ['old-switch/vxlan']],
    ]);
  });

  test('no network that only others have', () => {
    expect(view('trunk.yaml', 'h2').networks.map(({ network }) => network.name)).toEqual([
      'blue',
      'red',
    ]);
  });

  test('open networks where some port may use addresses of its own', () => {
    const open = view('trunk.yaml', 'h1').networks.map((network) => network.open);
    expect(open).toEqual([false, false, true]);
  });

  test('the gateways of a network, one of each family', () => {
    const web = view('three-tier.yaml', 'h1').networks[0]!;
    expect(web.gateway4).toEqual(parseIp('10.1.1.254'));
    expect(web.gateway6).toEqual(parseIp('fd00:1:1::fe'));
    expect(view('two-hosts.yaml', 'h1').networks[0]!.gateway4).toBeUndefined();
  });

  test('the same id of a port on the wire as every other host', () => {
    const ids = (host: string) =>
      new Map(view('two-hosts.yaml', host).networks[0]!.ports.map((p) => [p.port.name, p.wireId]));
    expect(ids('h1')).toEqual(ids('h2'));
  });
});

test('the link-local address of a MAC is its modified EUI-64', () => {
  expect(linkLocalOf(parseMac('02:00:00:00:00:0a'))).toEqual(parseIp('fe80::ff:fe00:a'));
  expect(linkLocalOf(parseMac('52:54:00:12:34:56'))).toEqual(parseIp('fe80::5054:ff:fe12:3456'));
});
