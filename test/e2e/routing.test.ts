// e2e/routing.test.ts — routers between real network stacks, on one host and across.
//
// c1 (h1) and c2 (h2) are in blue, c3 (h1) and c4 (h2) in green; a router joins the two.
// nve-table.test.ts has what just talks.

import { expect, it } from 'vitest';
import { useLab } from '../support/netns.ts';
import { describeWith } from '../support/requires.ts';
import { ping, steadyStream, transfer } from '../support/traffic.ts';
import { gatewayMac, ip, ip6, networkOf, twoSubnets } from '../support/two-subnets.ts';
import { waitUntil } from '../support/wait.ts';

describeWith(['root', 'veth'], 'a gateway', () => {
  const useWorld = useLab();

  it('has one MAC on every host, and answers pings of every size', async () => {
    const { lab } = await twoSubnets(useWorld());
    for (const name of ['c1', 'c2'] as const) {
      for (const target of ['10.0.0.254', '10.0.2.254', 'fd00:10::fe', 'fd00:20::fe']) {
        for (const size of [56, 3000]) {
          const pinged = await ping(lab, name, target, { size });
          expect(pinged, pinged.text).toMatchObject({ received: 3, duplicates: 0 });
        }
      }
      const known = await lab.must(name, 'ip', ['neighbour', 'show', 'dev', 'eth0']);
      expect(known.stdout).toContain(`10.0.0.254 lladdr ${gatewayMac}`);
      expect(known.stdout).toContain(`fd00:10::fe lladdr ${gatewayMac} router`);
    }
  });

  it('is the first hop of a trace, and the receiver the second', async () => {
    const { lab } = await twoSubnets(useWorld());
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
    const { lab, h1 } = await twoSubnets(useWorld());
    const said = async (target: string) => (await ping(lab, 'c1', target, { wait: 1 })).text;
    expect(await said('203.0.113.1')).toMatch(/From 10\.0\.0\.254 .*Net Unreachable/);
    expect(await said('10.0.2.99')).toMatch(/From 10\.0\.0\.254 .*Host Unreachable/);
    expect(await said('2001:db8::1')).toMatch(/From fd00:10::fe .*(No route|no route)/);
    expect(await said('fd00:20::99')).toMatch(/From fd00:10::fe .*[Aa]ddress unreachable/);
    expect(await h1.dropped('no_route')).toBeGreaterThan(3);
    expect(await h1.dropped('host_unreachable')).toBeGreaterThan(3);
  });

  it('tells who sends too much for the network behind it', async () => {
    const { lab } = await twoSubnets(useWorld(), { mtu: 1400 });
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
    const { lab, h2, apply } = await twoSubnets(useWorld());
    await apply({
      subnet6: ', ipv6RaMode: slaac',
      port: (name) => (name === 'c3' ? `, allowedAddressPairs: [{ ip: "${made}" }]` : ''),
    });
    const run = (...args: string[]) => lab.must('c3', 'ip', args);
    await run('-6', 'route', 'del', 'default');
    await run('-6', 'address', 'flush', 'dev', 'eth0');
    await run('link', 'set', 'eth0', 'down');
    await lab.must('c3', 'sysctl', ['-qw', 'net.ipv6.conf.eth0.accept_ra=1']);
    await lab.must('c3', 'sysctl', ['-qw', 'net.ipv6.conf.eth0.router_solicitations=3']);
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

  it('is advertised unasked, and withdrawn when it goes', async () => {
    const made = (name: string) =>
      name === 'c3' ? ', allowedAddressPairs: [{ ip: "fd00:20::ff:fe00:3" }]' : '';
    const { lab, apply } = await twoSubnets(useWorld(), { port: made });
    const run = (...args: string[]) => lab.must('c3', 'ip', args);
    // It listens, and never asks.
    await lab.must('c3', 'sysctl', ['-qw', 'net.ipv6.conf.eth0.accept_ra=1']);
    await run('-6', 'route', 'del', 'default');
    const learned = async () => {
      const { stdout } = await run('-6', 'route', 'show', 'default', 'proto', 'ra');
      return Number(/expires (\d+)sec/.exec(stdout)?.[1] ?? 0);
    };
    expect(await learned()).toBe(0);
    await apply({ subnet6: ', ipv6RaMode: slaac' });
    await waitUntil(learned, { what: 'a default route out of an advertisement' });
    expect(await learned()).toBeGreaterThan(1790);
    expect(await learned()).toBeLessThanOrEqual(1800);
    expect((await ping(lab, 'c3', ip6('c1'))).received).toBe(3);
    await apply({});
    const gone = async () => (await learned()) === 0;
    await waitUntil(gone, { what: 'the route to go' });
  });
});

describeWith(['root', 'veth'], 'routes', () => {
  const useWorld = useLab();
  const service = '192.0.2.1';

  it('spread connections over their next hops, on this host and another', async () => {
    const { lab } = await twoSubnets(useWorld(), {
      router: ', routes: [{ destination: 192.0.2.0/24, nextHops: [10.0.2.3, 10.0.2.4] }]',
      port: (name) =>
        networkOf[name] === 'green' ? `, allowedAddressPairs: [{ ip: ${service} }]` : '',
    });
    for (const name of ['c3', 'c4'] as const) {
      await lab.must(name, 'ip', ['address', 'add', `${service}/32`, 'dev', 'lo']);
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
    const { lab, h1, h2 } = await twoSubnets(useWorld());
    const path = { from: 'c1', to: 'c4', address: ip('c4') };
    const stream = await steadyStream(lab, path);
    for (const daemon of [h1, h2]) {
      await daemon.kill9();
      await daemon.start();
      const { datapath } = await daemon.status();
      expect(datapath.reconciled).toMatchObject({ replaced: 0, removed: 0 });
      expect(datapath.reconciled?.kept).toBeGreaterThanOrEqual(1);
    }
    expect(await stream.finish()).toMatchObject({ ok: true, closedEarly: false });
  });
});

describeWith(['root', 'veth'], 'security groups of routed traffic', () => {
  const useWorld = useLab();

  it('hold at the receiver, whatever subnet and host the sender is of', async () => {
    const { lab, h1, h2 } = await twoSubnets(useWorld(), {
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
