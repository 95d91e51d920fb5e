// e2e/offloads.test.ts — the offloads of kernels meet: superpackets of TCP and UDP, jumbo frames,
// tunnels inside the overlay, veth beside TAP. Nothing is switched off anywhere.

import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import type { Lab } from '../support/netns.ts';
import { useLab } from '../support/netns.ts';
import { kernelVtep } from '../support/peers/kernel-vxlan.ts';
import { describeWith } from '../support/requires.ts';
import { adoptTap, type TwoHosts, twoHosts } from '../support/topology.ts';
import { datagrams, type Path, ping, transfer } from '../support/traffic.ts';
import { documentFor, startAll, startBoth, Vtepd } from '../support/vtepd.ts';

const choice = { encap: 'vxlan', underlay: 'ipv4', tenants: false } as const;
const superScript = fileURLToPath(new URL('../support/traffic/superdatagrams.py', import.meta.url));

interface SuperResult {
  sent: number;
  received: number;
  corrupted: number;
}

/** UDP by UDP_SEGMENT: each send is one superpacket of up to 64 KiB. */
async function superdatagrams(lab: Lab, path: Path, size: number, gro = false) {
  const port = String(path.port ?? 20301);
  const any = path.address.includes(':') ? '::' : '0.0.0.0';
  const receive = [superScript, 'receive', any, port, gro ? 'gro' : 'plain'];
  const receiver = lab.spawn(path.to, '/usr/bin/python3', receive);
  await receiver.waitFor(/ready/);
  const send = [superScript, 'send', path.address, port, String(size)];
  const { stdout } = await lab.must(path.from, '/usr/bin/python3', send);
  const { sent } = JSON.parse(stdout);
  receiver.write(`end ${sent}\n`);
  await receiver.exited;
  const last = receiver.stdout.trim().split('\n').pop() ?? '';
  return { sent, ...JSON.parse(last) } as SuperResult;
}

async function expectSuperdatagrams(lab: Lab, path: Path) {
  // How many packets of a new flow may wait for its verdict is a limit of its own.
  expect((await ping(lab, path.from, path.address)).received).toBe(3);
  for (const [size, gro] of [
    [1400, false],
    [1400, true],
    [400, true],
    [1200, false],
  ] as const) {
    const result = await superdatagrams(lab, path, size, gro);
    expect(result.sent).toBeGreaterThan(100);
    expect(result, `segments of ${size} bytes, GRO: ${gro}`).toMatchObject({
      ...{ received: result.sent, corrupted: 0 },
    });
  }
}

async function expectTcp(lab: Lab, path: Path, bytes = 4 << 20) {
  for (const reverse of [false, true]) {
    const sent = await transfer(lab, path, { bytes, reverse });
    expect(sent, `TCP ${path.from} → ${path.to}, reverse: ${reverse}`).toMatchObject({ ok: true });
  }
}

describeWith(['root', 'veth', 'command:ping'], 'offloads', () => {
  const useWorld = useLab();

  async function world(encap: 'vxlan' | 'geneve' = 'vxlan') {
    const lab = useWorld();
    const topology = await twoHosts(lab);
    return { lab, topology, ...(await startBoth(lab, topology, { ...choice, encap })) };
  }

  it('carry superpackets of UDP across hosts, by VXLAN', async () => {
    const { lab, topology, h1, h2 } = await world();
    const { c2 } = topology.containers;
    await expectSuperdatagrams(lab, { from: 'c1', to: 'c2', address: c2.ip });
    await expectSuperdatagrams(lab, { from: 'c1', to: 'c2', address: c2.ip6 });
    for (const host of [h1, h2]) await host.expectNoDrops();
  });

  it('carry superpackets of UDP across hosts, by Geneve', async () => {
    const { lab, topology, h1, h2 } = await world('geneve');
    const { c2 } = topology.containers;
    await expectSuperdatagrams(lab, { from: 'c1', to: 'c2', address: c2.ip });
    for (const host of [h1, h2]) await host.expectNoDrops();
  });

  it('carry superpackets of UDP on one host, and TCP by IPv6', async () => {
    const { lab, topology, h1 } = await world();
    const { c2, c3 } = topology.containers;
    await expectSuperdatagrams(lab, { from: 'c1', to: 'c3', address: c3.ip });
    await expectTcp(lab, { from: 'c1', to: 'c3', address: c3.ip6 });
    await expectTcp(lab, { from: 'c1', to: 'c2', address: c2.ip6 });
    await h1.expectNoDrops();
  });

  it('carry large datagrams both ways, as QUIC and NFS send them', async () => {
    const { lab, topology } = await world();
    const { c1, c2, c3 } = topology.containers;
    for (const [from, to] of [
      ['c1', c2],
      ['c2', c1],
      ['c1', c3],
    ] as const) {
      for (const address of [to.ip, to.ip6]) {
        const path = { from, to: to.ns, address };
        for (const size of [1350, 9000, 60000]) {
          const counted = await datagrams(lab, path, { size, count: 50, rate: 200 });
          expect(counted, `${size} bytes ${from} → ${address}`).toMatchObject({
            ...{ lost: 0, duplicated: 0, corrupted: 0 },
          });
        }
      }
    }
  });

  it('carry eight TCP connections each way at once', async () => {
    const { lab, topology } = await world();
    const { c1, c2 } = topology.containers;
    const both = Array.from({ length: 8 }, (_, at) => [
      transfer(lab, { from: 'c1', to: 'c2', address: c2.ip, port: 21000 + at }, { seed: at + 1 }),
      transfer(lab, { from: 'c2', to: 'c1', address: c1.ip, port: 22000 + at }, { seed: at + 9 }),
    ]).flat();
    for (const sent of await Promise.all(both)) expect(sent).toMatchObject({ ok: true });
  });

  it('carry jumbo frames over a jumbo underlay', async () => {
    const lab = useWorld();
    const topology = await twoHosts(lab, { mtu: 9000, containerMtu: 8900 });
    await startBoth(lab, topology, { ...choice, mtu: 8900 });
    const { c2, c3 } = topology.containers;
    const full = await ping(lab, 'c1', c2.ip, { size: 8872, df: true });
    expect(full.received, full.text).toBe(3);
    for (const to of [c2, c3]) {
      await expectTcp(lab, { from: 'c1', to: to.ns, address: to.ip }, 16 << 20);
      const path = { from: 'c1', to: to.ns, address: to.ip };
      const counted = await datagrams(lab, path, { size: 8800, count: 200, rate: 2000 });
      expect(counted).toMatchObject({ lost: 0, duplicated: 0, corrupted: 0 });
    }
  });

  it('pass from veth to TAP and back, on one host and across', async () => {
    const lab = useWorld();
    const topology = await twoHosts(lab, { attach: 'tap' });
    const { c1, c2, c3 } = topology.containers;
    await plugVeth(lab, topology);
    const text = documentFor(topology, { ...choice, kind: { port: 'tap', uplink: 'auto' } })
      .split('\n')
      .map((line) => (/name: c[14],/.test(line) ? line.replace('mode: tap', 'mode: auto') : line))
      .join('\n');
    await startAll([new Vtepd(lab, 'h1'), new Vtepd(lab, 'h2')], text);
    for (const one of [c2, c3]) await adoptTap(lab, one);
    // c1 and c4 have veths, c2 and c3 are on TAPs.
    for (const [from, to] of [
      ['c1', c3],
      ['c3', c1],
      ['c1', c2],
      ['c4', c2],
    ] as const) {
      for (const address of [to.ip, to.ip6]) {
        await expectTcp(lab, { from, to: to.ns, address });
        const result = await superdatagrams(lab, { from, to: to.ns, address }, 1400);
        expect(result).toMatchObject({ received: result.sent, corrupted: 0 });
      }
    }
  });
});

async function plugVeth(lab: Lab, { containers }: TwoHosts): Promise<void> {
  for (const one of [containers.c1, containers.c4]) {
    await lab.veth(
      { ns: one.ns, name: 'eth0', mac: one.mac, ip: [`${one.ip}/24`, `${one.ip6}/64`] },
      { ns: one.host, name: one.port },
    );
  }
}

describeWith(['root', 'veth', 'vxlan', 'bridge', 'command:ping'], 'tunnels of others', () => {
  const useWorld = useLab();

  it('of containers, inside the overlay, carry TCP and UDP', async () => {
    const lab = useWorld();
    const topology = await twoHosts(lab);
    const { h1, h2 } = await startBoth(lab, topology, choice);
    const { c1, c2 } = topology.containers;
    for (const [ns, own, far, inner] of [
      ['c1', c1.ip, c2.ip, '192.168.7.1/24'],
      ['c2', c2.ip, c1.ip, '192.168.7.2/24'],
    ] as const) {
      await lab.must(ns, 'ip', [
        ...['link', 'add', 'vx7', 'type', 'vxlan', 'id', '7', 'local', own, 'remote', far],
        ...['dstport', '4789', 'dev', 'eth0'],
      ]);
      await lab.configure(ns, 'vx7', { ip: inner });
    }
    const path = { from: 'c1', to: 'c2', address: '192.168.7.2' };
    const pinged = await ping(lab, 'c1', path.address);
    expect(pinged, pinged.text).toMatchObject({ received: 3, duplicates: 0 });
    await expectTcp(lab, path);
    const counted = await datagrams(lab, path, { size: 1300, count: 200, rate: 2000 });
    expect(counted).toMatchObject({ lost: 0, duplicated: 0, corrupted: 0 });
    const sent = await superdatagrams(lab, path, 1200);
    expect(sent).toMatchObject({ received: sent.sent, corrupted: 0 });
    for (const host of [h1, h2]) await host.expectNoDrops();
  });

  it('of the kernel at the other end of a veth, hand over their superpackets', async () => {
    const lab = useWorld();
    const topology = await twoHosts(lab);
    const { hosts, containers } = topology;
    await kernelVtep(lab, {
      ...{ ns: 'h2', device: 'u2', local: hosts.h2.ip, vni: 100, remotes: [hosts.h1.ip] },
      ...{ ports: ['p2', 'p4'], mtu: 1500 },
    });
    const h1 = new Vtepd(lab, 'h1');
    await h1.start();
    const text = documentFor(topology, choice)
      .replace(`tunnelIp: "${hosts.h2.ip}"`, `tunnelIp: "${hosts.h2.ip}", kind: peer`)
      .replaceAll(/, device: p[24], mode: auto/g, '');
    await h1.apply(text.replace('kind: peer', 'kind: peer, networks: [blue]'));
    const { c1, c2 } = containers;
    for (const address of [c2.ip, c2.ip6]) {
      await expectTcp(lab, { from: 'c1', to: 'c2', address }, 16 << 20);
    }
    await expectSuperdatagrams(lab, { from: 'c2', to: 'c1', address: c1.ip });
    await expectSuperdatagrams(lab, { from: 'c1', to: 'c2', address: c2.ip });
    expect(await h1.dropped('bad_segmentation')).toBe(0);
    expect(await h1.dropped('bad_offload')).toBe(0);
  });
});
