// e2e/routing.test.ts — routers between real network stacks, on one host and across.
//
// c1 (h1) and c2 (h2) are in blue, c3 (h1) and c4 (h2) in green; a router joins the two. Tests that
// are named after a row of a table of functional tests carry its words: an NVE is a host here.

import { expect, it } from 'vitest';
import { routerMacOf } from '../../src/model/router-mac.ts';
import { type Lab, useLab } from '../support/netns.ts';
import { describeWith } from '../support/requires.ts';
import { type TwoHosts, twoHosts } from '../support/topology.ts';
import { datagrams, ping, steadyStream, transfer } from '../support/traffic.ts';
import { documentFor, Vtepd } from '../support/vtepd.ts';
import { waitUntil } from '../support/wait.ts';

type Name = 'c1' | 'c2' | 'c3' | 'c4';

const networkOf = { c1: 'blue', c2: 'blue', c3: 'green', c4: 'green' } as const;
const place = {
  blue: { four: '10.0.0', six: 'fd00:10::' },
  green: { four: '10.0.2', six: 'fd00:20::' },
} as const;
const gatewayMac = routerMacOf({ name: 'r1' });

interface Options {
  readonly encap?: 'vxlan' | 'geneve';
  readonly underlay?: 'ipv4' | 'ipv6';
  readonly mtu?: number;
  /** More fields of a port, of the green subnet for IPv6, of the router, of the document. */
  readonly port?: (name: Name) => string;
  readonly subnet6?: string;
  readonly router?: string;
  readonly more?: string;
}

const ip = (name: Name) => `${place[networkOf[name]].four}.${name.slice(1)}`;
const ip6 = (name: Name) => `${place[networkOf[name]].six}${name.slice(1)}`;

function document({ hosts, containers }: TwoHosts, options: Options): string {
  const { encap = 'vxlan', mtu = 1500, port, subnet6 = '', router = '', more = '' } = options;
  const names = Object.keys(networkOf) as Name[];
  return `
hosts:
${Object.values(hosts)
  .map((one) => `  - { name: ${one.ns}, tunnelIp: "${one.ip}" }`)
  .join('\n')}
networks:
  - { name: blue, vni: 100, encap: ${encap}, mtu: 1500 }
  - { name: green, vni: 200, encap: ${encap}, mtu: ${mtu} }
subnets:
  - { name: blue4, network: blue, cidr: 10.0.0.0/24, gateway: 10.0.0.254 }
  - { name: blue6, network: blue, cidr: "fd00:10::/64", gateway: "fd00:10::fe" }
  - { name: green4, network: green, cidr: 10.0.2.0/24, gateway: 10.0.2.254 }
  - { name: green6, network: green, cidr: "fd00:20::/64", gateway: "fd00:20::fe" ${subnet6} }
routers:
  - { name: r1, subnets: [blue4, blue6, green4, green6] ${router} }
${more}
ports:
${names
  .map((name) => {
    const { mac, host, port: device } = containers[name];
    const addresses = `ips: [${ip(name)}, "${ip6(name)}"]`;
    const fields = `name: ${name}, network: ${networkOf[name]}, mac: "${mac}", ${addresses}`;
    return `  - { ${fields}, host: ${host}, device: ${device} ${port?.(name) ?? ''} }`;
  })
  .join('\n')}
`;
}

async function world(lab: Lab, options: Options = {}) {
  const { underlay = 'ipv4' } = options;
  const topology = await twoHosts(lab, { encapUnderlay: underlay });
  const daemons = [new Vtepd(lab, 'h1'), new Vtepd(lab, 'h2')] as const;
  const [h1, h2] = daemons;
  for (const daemon of daemons) await daemon.start();
  const apply = async (now: Options) => {
    for (const daemon of daemons) await daemon.apply(document(topology, { ...options, ...now }));
  };
  await apply({});
  for (const name of Object.keys(networkOf) as Name[]) await address(lab, name);
  return { lab, topology, h1, h2, apply };
}

/** Runs a command that must succeed. */
async function must(lab: Lab, ns: string, command: string, args: string[]) {
  const done = await lab.exec(ns, command, args);
  expect(done.code, `${command} ${args.join(' ')}: ${done.stderr}`).toBe(0);
  return done;
}

/** The addresses and default routes of a container. */
async function address(lab: Lab, name: Name): Promise<void> {
  const { four, six } = place[networkOf[name]];
  const run = (...args: string[]) => must(lab, name, 'ip', args);
  await run('-4', 'address', 'flush', 'dev', 'eth0');
  await run('-6', 'address', 'flush', 'dev', 'eth0', 'scope', 'global');
  await run('address', 'add', `${ip(name)}/24`, 'dev', 'eth0');
  await run('address', 'add', `${ip6(name)}/64`, 'dev', 'eth0', 'nodad');
  await run('route', 'add', 'default', 'via', `${four}.254`);
  await run('-6', 'route', 'add', 'default', 'via', `${six}fe`);
}

/** ping, TCP both ways and UDP of several sizes, IPv4 and IPv6. */
async function expectTraffic(lab: Lab, from: Name, to: Name) {
  for (const target of [ip(to), ip6(to)]) {
    const path = { from, to, address: target };
    const pinged = await ping(lab, from, target);
    expect(pinged, pinged.text).toMatchObject({ received: 3, duplicates: 0 });
    for (const reverse of [false, true]) {
      const sent = await transfer(lab, path, { bytes: 4 << 20, reverse });
      expect(sent, `TCP ${from} → ${target}, reverse: ${reverse}`).toMatchObject({ ok: true });
    }
    if (target.includes(':')) continue;
    for (const size of [18, 1472, 4000]) {
      const counted = await datagrams(lab, path, { size, count: 100, rate: 500 });
      expect(counted, `UDP of ${size} bytes ${from} → ${target}`).toMatchObject({
        lost: 0,
        duplicated: 0,
        corrupted: 0,
      });
    }
  }
}

describeWith(['root', 'veth'], 'L2 network communication', () => {
  const useWorld = useLab();

  it('VMs communication in the same subnet on one NVE', async () => {
    const lab = useWorld();
    const topology = await twoHosts(lab);
    const h1 = new Vtepd(lab, 'h1');
    await h1.start();
    const choice = { encap: 'vxlan', underlay: 'ipv4', tenants: false } as const;
    await h1.apply(documentFor(topology, choice));
    const { c3 } = topology.containers;
    expect(await ping(lab, 'c1', c3.ip)).toMatchObject({ received: 3, duplicates: 0 });
    const path = { from: 'c1', to: 'c3', address: c3.ip };
    expect(await transfer(lab, path, { bytes: 4 << 20 })).toMatchObject({ ok: true });
  });

  it('VMs communication in the same subnet across NVEs, beside a router', async () => {
    const { lab, h1, h2 } = await world(useWorld());
    await expectTraffic(lab, 'c1', 'c2');
    await expectTraffic(lab, 'c3', 'c4');
    h1.expectQuietLog();
    h2.expectQuietLog();
  });
});

describeWith(['root', 'veth'], 'L3 network communication', () => {
  const useWorld = useLab();

  it('VMs communication across subnets on one NVE', async () => {
    const { lab, h1 } = await world(useWorld());
    await expectTraffic(lab, 'c1', 'c3');
    h1.expectQuietLog();
    await h1.expectNoDrops();
  });

  for (const encap of ['vxlan', 'geneve'] as const) {
    for (const underlay of ['ipv4', 'ipv6'] as const) {
      it(`VMs communication across subnets across NVEs: ${encap} over ${underlay}`, async () => {
        const { lab, h1, h2 } = await world(useWorld(), { encap, underlay });
        await expectTraffic(lab, 'c1', 'c4');
        await expectTraffic(lab, 'c2', 'c3');
        h1.expectQuietLog();
        h2.expectQuietLog();
      });
    }
  }
});

describeWith(['root', 'veth'], 'a gateway', () => {
  const useWorld = useLab();

  it('has one MAC on every host, and answers pings of every size', async () => {
    const { lab } = await world(useWorld());
    for (const name of ['c1', 'c2'] as const) {
      for (const target of ['10.0.0.254', '10.0.2.254', 'fd00:10::fe', 'fd00:20::fe']) {
        for (const size of [56, 3000]) {
          const pinged = await ping(lab, name, target, { size });
          expect(pinged, pinged.text).toMatchObject({ received: 3, duplicates: 0 });
        }
      }
      const known = await must(lab, name, 'ip', ['neighbour', 'show', 'dev', 'eth0']);
      expect(known.stdout).toContain(`10.0.0.254 lladdr ${gatewayMac}`);
      expect(known.stdout).toContain(`fd00:10::fe lladdr ${gatewayMac} router`);
    }
  });

  it('is the first hop of a trace, and the receiver the second', async () => {
    const { lab } = await world(useWorld());
    for (const to of ['c3', 'c4'] as const) {
      const hop = async (target: string, ttl: string) => {
        const args = ['-n', '-c', '1', '-W', '2', '-t', ttl, target];
        return (await lab.exec('c1', 'ping', args)).stdout;
      };
      expect(await hop(ip(to), '1')).toMatch(/From 10\.0\.0\.254 .*Time to live exceeded/);
      expect(await hop(ip(to), '2')).toContain('1 received');
      expect(await hop(ip6(to), '1')).toMatch(/From fd00:10::fe .*Time exceeded/);
      expect(await hop(ip6(to), '2')).toContain('1 received');
    }
  });

  it('says what it cannot reach', async () => {
    const { lab, h1 } = await world(useWorld());
    const said = async (target: string) => (await ping(lab, 'c1', target, { wait: 1 })).text;
    expect(await said('203.0.113.1')).toMatch(/From 10\.0\.0\.254 .*Net Unreachable/);
    expect(await said('10.0.2.99')).toMatch(/From 10\.0\.0\.254 .*Host Unreachable/);
    expect(await said('2001:db8::1')).toMatch(/From fd00:10::fe .*(No route|no route)/);
    expect(await said('fd00:20::99')).toMatch(/From fd00:10::fe .*[Aa]ddress unreachable/);
    expect(await h1.dropped('no_route')).toBeGreaterThan(3);
    expect(await h1.dropped('host_unreachable')).toBeGreaterThan(3);
  });

  it('tells who sends too much for the network behind it', async () => {
    const { lab } = await world(useWorld(), { mtu: 1400 });
    for (const to of ['c3', 'c4'] as const) {
      const large = await ping(lab, 'c1', ip(to), { size: 1472, df: true });
      expect(large.text).toMatch(/From 10\.0\.0\.254 .*mtu = 1400/);
      const six = await ping(lab, 'c1', ip6(to), { size: 1452, df: true });
      expect(six.text).toMatch(/From fd00:10::fe .*Packet too big.*1400|mtu = 1400/);
      expect((await ping(lab, 'c1', ip(to), { size: 1472, df: false })).received).toBe(3);
      const sent = await transfer(lab, { from: 'c1', to, address: ip(to) }, { bytes: 4 << 20 });
      expect(sent).toMatchObject({ ok: true });
    }
  });

  it('advertises its prefix: hosts make addresses and find their way (SLAAC)', async () => {
    const made = 'fd00:20::ff:fe00:3';
    const { lab, h2, apply } = await world(useWorld());
    await apply({
      subnet6: ', ipv6RaMode: slaac',
      port: (name) => (name === 'c3' ? `, allowedAddressPairs: [{ ip: "${made}" }]` : ''),
    });
    const run = (...args: string[]) => must(lab, 'c3', 'ip', args);
    await run('-6', 'route', 'del', 'default');
    await run('-6', 'address', 'flush', 'dev', 'eth0');
    await run('link', 'set', 'eth0', 'down');
    await must(lab, 'c3', 'sysctl', ['-qw', 'net.ipv6.conf.eth0.accept_ra=1']);
    await must(lab, 'c3', 'sysctl', ['-qw', 'net.ipv6.conf.eth0.router_solicitations=3']);
    await run('link', 'set', 'eth0', 'up');
    const there = async () => {
      const addresses = await run('-6', 'address', 'show', 'dev', 'eth0');
      const routes = await run('-6', 'route', 'show', 'default');
      return addresses.stdout.includes(made) && routes.stdout.includes('proto ra');
    };
    await waitUntil(there, { timeoutMs: 15_000, what: () => 'an address made of the prefix' });
    expect((await ping(lab, 'c3', ip6('c1'), { count: 3 })).received).toBe(3);
    expect((await ping(lab, 'c2', made)).received).toBe(3);
    h2.expectQuietLog();
  });
});

describeWith(['root', 'veth'], 'routes', () => {
  const useWorld = useLab();
  const service = '192.0.2.1';

  it('spread connections over their next hops, on this host and another', async () => {
    const { lab } = await world(useWorld(), {
      router: ', routes: [{ destination: 192.0.2.0/24, nextHops: [10.0.2.3, 10.0.2.4] }]',
      port: (name) =>
        networkOf[name] === 'green' ? `, allowedAddressPairs: [{ ip: ${service} }]` : '',
    });
    for (const name of ['c3', 'c4'] as const) {
      await must(lab, name, 'ip', ['address', 'add', `${service}/32`, 'dev', 'lo']);
      const server = lab.spawn(name, 'python3', ['-uc', tellName(name)]);
      await server.waitFor(/ready/);
    }
    const { stdout } = await lab.exec('c1', 'python3', ['-c', askOften(service, 60)]);
    const counts = JSON.parse(stdout) as Record<string, number>;
    expect(Object.keys(counts).sort()).toEqual(['c3', 'c4']);
    expect(counts.c3! + counts.c4!).toBe(60);
    expect(Math.min(counts.c3!, counts.c4!)).toBeGreaterThan(10);
  });
});

describeWith(['root', 'veth'], 'a restart', () => {
  const useWorld = useLab();

  it('of vtepd keeps every routed flow', async () => {
    const { lab, h1, h2 } = await world(useWorld());
    const path = { from: 'c1', to: 'c4', address: ip('c4') };
    const stream = await steadyStream(lab, path);
    for (const daemon of [h1, h2]) {
      await daemon.kill9();
      await daemon.start();
      const { datapath } = await daemon.status();
      expect(datapath.reconciled).toMatchObject({ replaced: 0, removed: 0 });
      expect(datapath.reconciled.kept).toBeGreaterThanOrEqual(1);
    }
    expect(await stream.finish()).toMatchObject({ ok: true, closedEarly: false });
  });
});

describeWith(['root', 'veth'], 'security groups of routed traffic', () => {
  const useWorld = useLab();

  it('hold at the receiver, whatever subnet and host the sender is of', async () => {
    const { lab, h1, h2 } = await world(useWorld(), {
      more: `securityGroups:
  - name: web
    rules:
      - { direction: egress }
      - { direction: ingress, protocol: tcp, ports: 80, remote: 10.0.0.0/24 }`,
      port: (name) => (networkOf[name] === 'green' ? ', securityGroups: [web]' : ''),
    });
    for (const to of ['c3', 'c4'] as const) {
      const path = { from: 'c1', to, address: ip(to), port: 80 };
      expect(await transfer(lab, path, { bytes: 1 << 20 })).toMatchObject({ ok: true });
      expect((await ping(lab, 'c1', ip(to), { wait: 1 })).received).toBe(0);
      // What it begins itself is answered.
      expect((await ping(lab, to, ip('c1'))).received).toBe(3);
    }
    expect(await h1.dropped('acl_deny')).toBeGreaterThan(0);
    expect(await h2.dropped('acl_deny')).toBeGreaterThan(0);
    const trace = await h1.json(
      'trace',
      `in_port=c1,eth_src=02:00:00:00:00:01,eth_dst=${gatewayMac},eth_type=ip,` +
        `ip_src=${ip('c1')},ip_dst=${ip('c4')},ip_proto=tcp,tp_src=9,tp_dst=80`,
    );
    const stages = trace.steps.filter(({ rule }: { rule: string }) => rule !== '');
    expect(stages.map(({ stage }: { stage: string }) => stage)).toEqual(
      expect.arrayContaining(['router', 'route', 'next-hop', 'deliver']),
    );
    expect(trace.actions).toContain('dec_ttl');
    expect(trace.actions).toContain('output_tunnel(h2/vxlan,vni=200)');
  });
});

/** A server that answers each connection with its name. */
function tellName(name: string): string {
  return [
    'import socket',
    's = socket.create_server(("0.0.0.0", 8080), backlog=128)',
    'print("ready")',
    'while True:',
    '  c, _ = s.accept()',
    `  c.sendall(b"${name}")`,
    '  c.close()',
  ].join('\n');
}

/** Connects again and again, and counts who answered. */
function askOften(target: string, count: number): string {
  return [
    'import collections, json, socket',
    'counts = collections.Counter()',
    `for _ in range(${count}):`,
    `  with socket.create_connection(("${target}", 8080), timeout=5) as s:`,
    '    counts[s.recv(10).decode()] += 1',
    'print(json.dumps(counts))',
  ].join('\n');
}
