// e2e/trunk.test.ts — many logical ports behind one device, each with a VLAN of its own.

import { writeFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import type { Lab } from '../support/netns.ts';
import { useLab } from '../support/netns.ts';
import { heldUpMs } from '../support/process.ts';
import { describeWith } from '../support/requires.ts';
import { twoHosts } from '../support/topology.ts';
import { datagrams, ping, transfer } from '../support/traffic.ts';
import { type Behind, trunk } from '../support/trunk.ts';
import { startAll, Vtepd } from '../support/vtepd.ts';

const vlanMax = 4094;
/** Generous: a machine that is shared compiles and checks 4094 networks in less. */
const applyMaxMs = 10_000;

const mac = (number: number) => `02:00:00:00:00:${number.toString(16).padStart(2, '0')}`;
const behind = (ns: string, vlan: number, number: number, address = number): Behind => ({
  ...{ ns, vlan, mac: mac(number), ip: `10.0.0.${address}/24` },
});

// Red's hosts have blue's addresses; blue is VLAN 10 and 11 of h1's trunk, and 110 of h2's.
const a10 = behind('a10', 10, 1);
const a11 = behind('a11', 11, 2);
const a20 = behind('a20', 20, 11, 1);
const unknown = behind('a99', 99, 5);
const untagged = behind('a0', 0, 6);
const b10 = behind('b10', 110, 3);
const b20 = behind('b20', 10, 13, 3);

const portLine = (one: Behind, network: string, host: string) =>
  `  - { name: ${one.ns}, network: ${network}, mac: "${one.mac}", ` +
  `ips: [${one.ip.split('/')[0]}], host: ${host}, device: t1, vlan: ${one.vlan} }`;

const document = (encap: string) =>
  [
    'hosts: [{ name: h1, tunnelIp: 172.31.1.1 }, { name: h2, tunnelIp: 172.31.1.2 }]',
    'networks:',
    `  - { name: blue, vni: 100, encap: ${encap}, mtu: 1500 }`,
    `  - { name: red, vni: 200, encap: ${encap}, mtu: 1500 }`,
    'ports:',
    portLine(a10, 'blue', 'h1'),
    portLine(a11, 'blue', 'h1'),
    portLine(a20, 'red', 'h1'),
    portLine(b10, 'blue', 'h2'),
    portLine(b20, 'red', 'h2'),
    '',
  ].join('\n');

async function world(lab: Lab, encap = 'vxlan') {
  await twoHosts(lab, { containers: [] });
  await trunk(lab, 'h1', 't1', [a10, a11, a20, unknown, untagged]);
  const h1 = new Vtepd(lab, 'h1');
  const h2 = new Vtepd(lab, 'h2');
  await trunk(lab, 'h2', 't1', [b10, b20]);
  await startAll([h1, h2], document(encap));
  return { h1, h2 };
}

async function expectTraffic(lab: Lab, from: Behind, to: Behind) {
  const address = to.ip.split('/')[0]!;
  const path = { from: from.ns, to: to.ns, address };
  const pinged = await ping(lab, from.ns, address);
  expect(pinged, pinged.text).toMatchObject({ received: 3, duplicates: 0 });
  for (const reverse of [false, true]) {
    const sent = await transfer(lab, path, { bytes: 2 << 20, reverse });
    expect(sent, `TCP ${from.ns} → ${to.ns}, reverse: ${reverse}`).toMatchObject({ ok: true });
  }
  for (const size of [18, 1472, 4000]) {
    const counted = await datagrams(lab, path, { size, count: 100, rate: 1000 });
    expect(counted, `UDP of ${size} bytes`).toMatchObject({
      ...{ lost: 0, duplicated: 0, corrupted: 0 },
    });
  }
}

describeWith(['root', 'veth', 'tun'], 'a trunk device', () => {
  const useWorld = useLab();

  it('carries each VLAN to its own network, across hosts and back', async () => {
    const lab = useWorld();
    const { h1, h2 } = await world(lab);
    await expectTraffic(lab, a10, b10);
    await expectTraffic(lab, a20, b20);
    h1.expectQuietLog();
    h2.expectQuietLog();
  });

  it('carries its VLANs by Geneve as well', async () => {
    const lab = useWorld();
    await world(lab, 'geneve');
    await expectTraffic(lab, a10, b10);
  });

  it('joins two of its VLANs that are in one network', async () => {
    const lab = useWorld();
    const { h1 } = await world(lab);
    await expectTraffic(lab, a10, a11);
    expect(await h1.dropped('same_port')).toBe(0);
  });

  it('keeps networks apart, also where their addresses are the same', async () => {
    const lab = useWorld();
    await world(lab);
    const watch = (ns: string) =>
      lab.spawn(ns, 'tcpdump', ['-n', '-l', '-i', 'eth0', '--immediate-mode']);
    const watchers = [watch('a20'), watch('b20'), watch('a99'), watch('a0')];
    for (const watcher of watchers) await watcher.waitFor(/listening on/);
    expect((await ping(lab, 'a10', '10.0.0.3')).received).toBe(3);
    // Broadcast goes to everyone of the network, and to nobody else.
    await lab.exec('a10', 'ping', ['-b', '-c', '3', '-i', '0.05', '-W', '1', '10.0.0.255']);
    await lab.exec('a10', 'ping', ['-c', '1', '-W', '1', '10.0.0.77']);
    for (const watcher of watchers) await watcher.stop();
    for (const watcher of watchers) {
      const heard = watcher.stdout.split('\n').filter((line) => / IP | ARP,/.test(line));
      expect(heard, watcher.name).toEqual([]);
    }
  });

  it('hands broadcast to the other VLANs of its network, and not back to the first', async () => {
    const lab = useWorld();
    await world(lab);
    const watch = (ns: string) =>
      lab.spawn(ns, 'tcpdump', ['-n', '-l', '-i', 'eth0', '-Q', 'in', '--immediate-mode', 'icmp']);
    const [own, local, remote] = [watch('a10'), watch('a11'), watch('b10')];
    for (const watcher of [own, local, remote]) await watcher.waitFor(/listening on/);
    await lab.exec('a10', 'ping', ['-b', '-c', '3', '-i', '0.05', '-W', '1', '10.0.0.255']);
    for (const watcher of [own, local, remote]) await watcher.stop();
    const heard = [own, local, remote].map(
      ({ stdout }) =>
        stdout.split('\n').filter((line) => /10\.0\.0\.255.*request/.test(line)).length,
    );
    expect(heard).toEqual([0, 3, 3]);
  });

  it('drops frames without a VLAN, and of a VLAN that no port has, as unknown_port', async () => {
    const lab = useWorld();
    const { h1 } = await world(lab);
    for (const ns of ['a99', 'a0']) {
      const before = await h1.dropped('unknown_port');
      const { received } = await ping(lab, ns, '10.0.0.1', { wait: 1 });
      expect(received).toBe(0);
      expect(await h1.dropped('unknown_port')).toBeGreaterThan(before);
    }
  });

  it('takes 4094 logical ports, the first and the last of which work', async () => {
    const lab = useWorld();
    await lab.namespace('h1');
    const [first, last] = [behind('first', 1, 1), behind('last', vlanMax, 2)];
    await trunk(lab, 'h1', 't1', [first, last]);
    const h1 = new Vtepd(lab, 'h1');
    await h1.start();
    const file = lab.path('all-vlans.yaml');
    writeFileSync(file, allVlans(first, last));
    const before = heldUpMs(h1.pid, h1.datapathPid);
    const { tookMs } = await h1.json('apply', '-f', file);
    const heldUp = heldUpMs(h1.pid, h1.datapathPid) - before;
    process.stdout.write(
      `4094 ports and networks: ${tookMs} ms, ${heldUp.toFixed(0)} ms of them held up by others\n`,
    );
    expect(tookMs - heldUp).toBeLessThan(applyMaxMs);
    expect((await h1.status()).counts.ports).toBe(1);
    await expectTraffic(lab, first, last);
    const again = await h1.json('apply', '-f', file);
    expect(again.changes).toEqual([]);
    h1.expectQuietLog();
  });
});

/** A port for each VLAN, each in its own network, but the last, which is with the first. */
function allVlans(first: Behind, last: Behind): string {
  const vlans = Array.from({ length: vlanMax }, (_, at) => at + 1);
  const middle = vlans.slice(1, -1).map((vlan): Behind => {
    const hex = vlan.toString(16).padStart(4, '0');
    return {
      ns: `v${vlan}`,
      vlan,
      mac: `02:00:00:01:${hex.slice(0, 2)}:${hex.slice(2)}`,
      ip: '10.0.0.9/24',
    };
  });
  return [
    'hosts: [{ name: h1, tunnelIp: 172.31.1.1 }]',
    'networks:',
    ...vlans.map((vlan) => `  - { name: n${vlan}, vni: ${vlan}, mtu: 1500 }`),
    'ports:',
    portLine(first, 'n1', 'h1'),
    ...middle.map((one) => portLine(one, `n${one.vlan}`, 'h1')),
    portLine(last, 'n1', 'h1'),
    '',
  ].join('\n');
}
