// unit/support/fixtures.test.ts — the captures of fixtures/pcap are what their README says.

import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { oddPackets } from '../../fixtures/odd-packets.ts';
import { type Dissected, dissect } from '../../support/dissect.ts';
import { readCapture, readFrames } from '../../support/pcap.ts';
import { firstLack } from '../../support/requires.ts';
import { complaints, expectNoExpertErrors, isFault } from '../../support/tshark.ts';

const folder = fileURLToPath(new URL('../../fixtures/', import.meta.url));
const files = readdirSync(`${folder}pcap`).filter((name) => name.endsWith('.pcap'));
const byPeers = files.filter((name) => !name.startsWith('scapy-'));
const noTshark = firstLack(['command:tshark']);
const path = (name: string) => `${folder}pcap/${name}`;

const find = (layers: Dissected[], layer: string) => layers.find((one) => one.layer === layer);

test('every capture has a line in the README, and the README names no other', () => {
  const readme = readFileSync(`${folder}README.md`, 'utf8');
  const named = [...readme.matchAll(/^\| `([a-z0-9-]+\.pcap)` \|/gm)].map(([, name]) => name);
  expect(named.sort()).toEqual([...files].sort());
});

test.each(files)('%s is whole and short', (name) => {
  const packets = readCapture(path(name));
  expect(packets.length).toBeGreaterThan(0);
  expect(packets.length).toBeLessThan(20);
  for (const { bytes, originalBytes } of packets) expect(bytes.length).toBe(originalBytes);
});

describe('what peers sent', () => {
  test.each(byPeers)('%s holds VNI 100, ARP, both pings and a connection', (name) => {
    const packets = readFrames(path(name)).map((frame) => dissect(frame));
    const tunnel = name.includes('geneve') ? 'geneve' : 'vxlan';
    for (const layers of packets) {
      expect(find(layers, tunnel)?.fields.vni).toBe(100);
      const source = Number(find(layers, 'udp')?.fields.src);
      expect(source).toBeGreaterThanOrEqual(32768);
      expect(layers[1].layer).toBe(name.includes('ipv6') ? 'ip6' : 'ip');
    }
    const seen = new Set(packets.flat().map(({ layer }) => layer));
    expect([...seen]).toEqual(expect.arrayContaining(['arp', 'icmp', 'icmp6', 'tcp']));
    const flags = packets.map((layers) => find(layers, 'tcp')?.fields.flags);
    expect(flags).toEqual(expect.arrayContaining(['S', 'SA', 'PA']));
  });

  test.skipIf(noTshark).each(byPeers)('%s is without fault to tshark', async (name) => {
    await expectNoExpertErrors(path(name));
  });

  test('Open vSwitch put its Geneve option on every packet', () => {
    for (const name of byPeers.filter((one) => one.includes('geneve'))) {
      const options = readFrames(path(name)).map((f) => find(dissect(f), 'geneve')?.fields.options);
      expect(new Set(options)).toEqual(new Set(['ff01020100000011', 'ff01020100000022']));
    }
  });
});

describe('what scapy made', () => {
  test.each(Object.keys(oddPackets))('%s has one frame for each name', (name) => {
    expect(readFrames(path(`${name}.pcap`)).length).toBe(oddPackets[name].length);
  });

  const good = ['scapy-plain.pcap', 'scapy-vxlan-inner.pcap'];

  test.skipIf(noTshark).each(good)('%s is odd but right', async (name) => {
    await expectNoExpertErrors(path(name));
  });

  const cut = files.filter((name) => name.includes('truncated'));

  test.skipIf(noTshark).each([...cut, 'scapy-bad-plain.pcap'])(
    '%s is all faults to tshark, or ends early',
    async (name) => {
      const said = (await complaints(path(name))).filter(isFault);
      for (const [index, frame] of readFrames(path(name)).entries()) {
        const short = dissect(frame).at(-1)?.layer === 'truncated';
        const faulty = said.some((one) => one.frame === index + 1);
        expect(short || faulty, `frame ${index + 1}`).toBe(true);
      }
    },
  );
});
