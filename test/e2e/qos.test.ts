// e2e/qos.test.ts — rate limits between real network stacks, on one host and across.
//
// c1 is limited in both directions; c2 is on another host, c3 beside c1. What a limit lets through
// is counted by iperf3: UDP payload, to which headers come on the wire.

import { expect, it } from 'vitest';
import { parseDocument } from '../../src/model/parse.ts';
import { flood } from '../support/flood.ts';
import { type Lab, useLab } from '../support/netns.ts';
import { eth } from '../support/packet.ts';
import { describeWith } from '../support/requires.ts';
import { type TwoHosts, twoHosts } from '../support/topology.ts';
import { iperf } from '../support/traffic.ts';
import { applyAll, documentFor, startAll, Vtepd } from '../support/vtepd.ts';

const limitMbit = 40;
const seconds = 3;
/** UDP payload, and what the limit counts: Ethernet, IPv4 and UDP headers too. */
const datagramBytes = 1000;
const headerBytes = 42;
/** The bucket is full at the start: a quarter of a second of traffic more. */
const shareMax = (1 + 0.25 / seconds) * 1.1;
const shareMin = 0.8;

function document(topology: TwoHosts, qos: object): string {
  const choice = { encap: 'vxlan', underlay: 'ipv4', tenants: false } as const;
  const plain = parseDocument(documentFor(topology, choice), 'lab.yaml');
  const ports = plain.ports.map((port) => (port.name === 'c1' ? { ...port, qos } : port));
  return JSON.stringify({ ...plain, ports });
}

async function world(lab: Lab) {
  const topology = await twoHosts(lab);
  const daemons = [new Vtepd(lab, 'h1'), new Vtepd(lab, 'h2')];
  await startAll(daemons);
  const apply = async (qos: object) => {
    await applyAll(daemons, document(topology, qos));
  };
  /** Mbit/s of UDP that arrive of twice the limit. */
  const udp = async (from: string, to: string) => {
    const path = { from, to, address: topology.containers[to as 'c1'].ip };
    const bitrate = `${2 * limitMbit}M`;
    const options = { udp: true, bitrate, seconds, length: datagramBytes };
    return (await iperf(lab, path, options)).gigabitPerSecond * 1000;
  };
  const tcp = async (from: string, to: string) => {
    const path = { from, to, address: topology.containers[to as 'c1'].ip };
    return (await iperf(lab, path, { seconds })).gigabitPerSecond * 1000;
  };
  /** Broadcasts as fast as one can; Mbit/s that reach each of the others. */
  const broadcasts = async (from: 'c1' | 'c3', to: readonly string[]) => {
    const { mac, ip } = topology.containers[from];
    const frame = eth({ src: mac, dst: 'ff:ff:ff:ff:ff:ff' }).ip({ src: ip, dst: '10.0.0.255' });
    const wanted = frame.udp({ src: 9, dst: 9 }).payload(datagramBytes).build();
    const bytes = () => Promise.all(to.map((one) => received(lab, one)));
    const before = await bytes();
    const { end } = await flood(lab, from, seconds, [wanted]);
    const sent = ((await end()) * wanted.length * 8) / 1e6 / seconds;
    const rates = (await bytes()).map((now, index) => {
      return ((now - (before[index] ?? 0)) * 8) / 1e6 / seconds;
    });
    return { sent, rates };
  };
  return { apply, udp, tcp, broadcasts, h1: daemons[0]! };
}

/** Bytes that a container's device has received. */
async function received(lab: Lab, container: string): Promise<number> {
  const { stdout } = await lab.must(container, 'ip', ['-j', '-s', 'link', 'show', 'eth0']);
  return JSON.parse(stdout)[0].stats64.rx.bytes;
}

describeWith(['root', 'veth', 'command:iperf3'], 'rate limits', () => {
  const useWorld = useLab();

  it('hold a port to its rates in each direction, others to none, and follow changes', async () => {
    const { apply, udp, tcp, h1 } = await world(useWorld());
    await apply({ egress: `${limitMbit}mbit`, ingress: `${limitMbit}mbit` });
    const wanted = (limitMbit * datagramBytes) / (datagramBytes + headerBytes);
    for (const [from, to] of [
      ['c1', 'c2'],
      ['c2', 'c1'],
      ['c1', 'c3'],
      ['c3', 'c1'],
    ] as const) {
      const got = await udp(from, to);
      expect(got / wanted, `${from} to ${to}: ${got} Mbit/s`).toBeGreaterThan(shareMin);
      expect(got / wanted, `${from} to ${to}: ${got} Mbit/s`).toBeLessThan(shareMax);
    }
    expect(JSON.stringify(await h1.json('drops'))).toContain('meter_exceeded');
    // TCP finds a rate below the limit, but not far below.
    const stream = await tcp('c1', 'c2');
    expect(stream).toBeGreaterThan(limitMbit / 2);
    expect(stream).toBeLessThan(limitMbit * shareMax);
    expect(await udp('c3', 'c2')).toBeGreaterThan(1.8 * limitMbit);
    await apply({});
    expect(await udp('c1', 'c2')).toBeGreaterThan(1.8 * limitMbit);
    expect(await tcp('c2', 'c1')).toBeGreaterThan(5 * limitMbit);
  });

  it('hold floods of broadcasts: once at who sends, and each copy at who is sent it', async () => {
    const { apply, broadcasts, h1 } = await world(useWorld());
    await apply({ egress: `${limitMbit}mbit` });
    const up = await broadcasts('c1', ['c3', 'c2']);
    expect(up.sent).toBeGreaterThan(2 * limitMbit);
    for (const rate of up.rates) {
      expect(rate / limitMbit, `of c1: ${rate} Mbit/s`).toBeGreaterThan(shareMin);
      expect(rate / limitMbit, `of c1: ${rate} Mbit/s`).toBeLessThan(shareMax);
    }
    await apply({ ingress: `${limitMbit}mbit` });
    const down = await broadcasts('c3', ['c1', 'c2']);
    const [limited = 0, free] = down.rates;
    expect(limited / limitMbit, `to c1: ${limited} Mbit/s`).toBeGreaterThan(shareMin);
    expect(limited / limitMbit, `to c1: ${limited} Mbit/s`).toBeLessThan(shareMax);
    expect(free).toBeGreaterThan(2 * limitMbit);
    expect(JSON.stringify(await h1.json('drops'))).toContain('meter_exceeded');
  });
});
