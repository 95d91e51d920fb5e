// e2e/rfc2544.test.ts — the built-in generator and its topologies: what it counts is what happened.
//
// Rates are small: whether counts are right is tested here, not how much a system carries.

import { writeFileSync } from 'node:fs';
import { afterEach, expect, it, type TestContext } from 'vitest';
import { type BuiltinResult, builtinGenerator } from '../../bench/rfc2544/builtin.ts';
import { type ExtraRow, type ExtraSetting, extras } from '../../bench/rfc2544/extras.ts';
import { type Path, scenarioNames } from '../../bench/rfc2544/path.ts';
import { systemsOf } from '../../bench/rfc2544/systems.ts';
import { KernelSystem } from '../../bench/rfc2544/topology/kernel.ts';
import type { LabSystem } from '../../bench/rfc2544/topology/lab-system.ts';
import { Loop } from '../../bench/rfc2544/topology/loop.ts';
import { OvsSystem } from '../../bench/rfc2544/topology/ovs.ts';
import { VtepdSystem } from '../../bench/rfc2544/topology/vtepd.ts';
import type { Load } from '../../bench/rfc2544/trial.ts';
import { useLab } from '../support/netns.ts';
import { describeWith, lack, requires } from '../support/requires.ts';
import { iperf, ping } from '../support/traffic.ts';

const python = '/usr/bin/python3';
const unruly = new URL('../support/traffic/unruly.py', import.meta.url).pathname;
const sentTtl = 64;

const load = (more: Partial<Load> = {}): Load => ({
  frames: { name: '128', shares: [{ size: 128, weight: 1 }] },
  ...{ rate: 2000, count: 1000, direction: 'both', flows: 16 },
  ...more,
});

/** A trial; another one when a busy machine kept the generator from sending in time. */
async function trial(path: Path, wanted: Load, triesMax = 5): Promise<BuiltinResult> {
  const generator = await builtinGenerator(path);
  try {
    for (let tries = 1; ; tries += 1) {
      const result = await generator.trial(wanted);
      const tooSlow = result.fault?.includes('could send only') && wanted.rate < 1e6;
      if (!tooSlow || tries === triesMax) return result;
    }
  } finally {
    await generator.close();
  }
}

function expectAll(result: BuiltinResult, ttl: number): void {
  expect(result.fault).toBeUndefined();
  for (const count of result.counts) {
    expect(count).toMatchObject({
      ...{ sent: 1000, received: 1000, reordered: 0, duplicated: 0, ttl: [ttl, ttl] },
      longestGap: { frames: 0 },
    });
    expect(count.latency!.count).toBe(1000);
    expect(count.latency!.buckets.reduce((sum, [, frames]) => sum + frames, 0)).toBe(1000);
  }
}

/** Lets the generator through, as was seen, but no ping. */
async function expectFirewall({ lab }: LabSystem, { ends }: Path): Promise<void> {
  const pinged = await ping(lab, 'c1', ends[1].ip, { count: 2, wait: 1 });
  expect(pinged.received, pinged.text).toBe(0);
  const known = await lab.must('c1', 'ip', ['neighbour', 'show', 'dev', 'eth0']);
  expect(known.stdout, 'ARP is answered').toContain(ends[0].nextHopMac);
}

function skipWithout(context: TestContext, reason: string | undefined): void {
  if (reason === undefined) return;
  process.stderr.write(`skipped: ${context.task.name}: ${reason}\n`);
  context.skip(reason);
}

/** Builds a system for one test. */
let standing: LabSystem | undefined;
afterEach(async () => {
  await standing?.close();
  standing = undefined;
});
function stand<Kind extends LabSystem>(system: Kind): Kind {
  standing = system;
  return system;
}

describeWith(['root', 'veth'], 'the built-in generator', () => {
  const useWorld = useLab();

  it('counts every frame of a mix over a bare wire, both ways, at the rate asked for', async () => {
    const path = await stand(new Loop()).build('same-host-same-subnet');
    const shares = [64, 570, 1518].map((size, at) => ({ size, weight: [7, 4, 1][at]! }));
    const result = await trial(path, load({ frames: { name: 'imix', shares } }));
    expectAll(result, sentTtl);
    expect(result.counts).toHaveLength(2);
    expect(result.seconds).toBeGreaterThan(0.499);
    expect(result.seconds).toBeLessThan(0.51);
    const { min, average, max, jitter, buckets } = result.counts[0]!.latency!;
    expect(min).toBeLessThanOrEqual(average);
    expect(average).toBeLessThanOrEqual(max);
    expect(jitter).toBeLessThan(max);
    expect(buckets.at(-1)![0]).toBeGreaterThanOrEqual(max);
  });

  it('agrees with the counters of a device that loses, copies and swaps frames', async () => {
    const lab = useWorld();
    await lab.namespace('a', 'device', 'b');
    const macs = ['02:00:00:00:00:01', '02:00:00:00:00:02'] as const;
    const ips = ['10.0.0.1', '10.0.0.2'] as const;
    await lab.veth({ ns: 'a', name: 'eth0', mac: macs[0] }, { ns: 'device', name: 'in' });
    await lab.veth({ ns: 'b', name: 'eth0', mac: macs[1] }, { ns: 'device', name: 'out' });
    const device = lab.spawn('device', python, [unruly, 'in', 'out', '1000']);
    await device.waitFor(/ready/);
    const end = (ns: string, own: 0 | 1) => ({
      ...{ namespace: lab.realName(ns), device: 'eth0', mac: macs[own], ip: ips[own] },
      nextHopMac: macs[own === 0 ? 1 : 0],
    });
    const path: Path = { ends: [end('a', 0), end('b', 1)] };
    // The device takes a thousand frames and ends: there is no other try.
    const result = await trial(path, load({ direction: 'forward', flows: 1 }), 1);
    expect(result.fault).toBeUndefined();
    await device.exited;
    const did = JSON.parse(device.stdout.trim().split('\n').pop()!);
    expect(did).toMatchObject({ seen: 1000, lost: 100, copied: 50, swapped: 20 });
    const [count] = result.counts;
    expect(count!.sent - count!.received).toBe(did.lost);
    expect(count!.duplicated).toBe(did.copied);
    expect(count!.reordered).toBe(did.swapped);
  });

  it('agrees with iperf3 on the path through vtepd within 5 %', async (context) => {
    requires(context, 'command:iperf3');
    const system = stand(new VtepdSystem({ name: 'vtepd', mode: 'af_packet' }));
    const path = await system.build('across-hosts-same-subnet');
    const { document } = system;
    const open = [{ direction: 'ingress' }, { direction: 'egress' }];
    await system.apply({ ...document, securityGroups: [{ name: 'generator', rules: open }] });
    // Datagrams of 1000 bytes in frames of 1000 + 8 + 20 + 14 + 4.
    const [rate, bytes, seconds] = [4000, 1000, 2];
    const frames = { name: 'iperf', shares: [{ size: bytes + 46, weight: 1 }] };
    const count = rate * seconds;
    const ours = await trial(path, load({ frames, rate, count, direction: 'forward', flows: 1 }));
    expect(ours.fault).toBeUndefined();
    const { lab } = system;
    const options = { udp: true, seconds, length: bytes, bitrate: `${rate * bytes * 8}` };
    const to = { from: 'c1', to: 'c2', address: path.ends[1].ip };
    const theirs = await iperf(lab, to, options);
    // Its own socket loses a few when the machine is busy; what counts is that both tell one rate.
    expect(theirs.lostPackets).toBeLessThan(count * 0.01);
    const oursPerSecond = ours.counts[0]!.received / ours.seconds;
    const theirsPerSecond = (theirs.gigabitPerSecond * 1e9) / 8 / bytes;
    const ratio = oursPerSecond / theirsPerSecond;
    process.stdout.write(`received a second: ${oursPerSecond}, iperf3 ${theirsPerSecond}\n`);
    expect(ratio).toBeGreaterThan(0.95);
    expect(ratio).toBeLessThan(1.05);
  });

  it('ends a trial when it is told to, and says so', async () => {
    const path = await stand(new Loop()).build('same-host-same-subnet');
    const generator = await builtinGenerator(path);
    const stop = new AbortController();
    const onSample = () => stop.abort();
    const long = load({ count: 1_000_000 });
    const result = await generator.trial(long, stop.signal, { onSample });
    expect(result.fault).toBe('the trial was stopped');
    expect(result.counts[0]!.sent).toBeLessThan(20_000);
    // And goes on with the next one.
    expectAll(await generator.trial(load()), sentTtl);
    await generator.close();
  });

  it('says in a sentence what it cannot do', async () => {
    const path = await stand(new Loop()).build('same-host-same-subnet');
    const small = { name: '60', shares: [{ size: 60, weight: 1 }] };
    await expect(trial(path, load({ frames: small }))).rejects.toThrow(/smallest has 64/);
    const [left, right] = path.ends;
    const nowhere: Path = { ends: [left, { ...right, device: 'eth7' }] };
    await expect(builtinGenerator(nowhere)).rejects.toThrow(/eth7/);
    const elsewhere: Path = { ends: [left, { ...right, namespace: 'not-there' }] };
    await expect(builtinGenerator(elsewhere)).rejects.toThrow(/namespace .*not-there/);
    const fast = await trial(path, load({ rate: 1e9, count: 1e8 }));
    expect(fast.fault).toMatch(/could send only \d+ of 1000000000 frames\/s/);
  });
});

describeWith(['root', 'veth', 'command:ping'], 'scenarios of the paper', () => {
  const ttlOf = (scenario: string) => sentTtl - (scenario.endsWith('different-subnets') ? 1 : 0);

  for (const scenario of scenarioNames) {
    it(`vtepd carries every frame: ${scenario}`, async () => {
      const system = stand(new VtepdSystem({ name: 'vtepd', mode: 'af_packet' }));
      const path = await system.build(scenario);
      expectAll(await trial(path, load()), ttlOf(scenario));
      for (const daemon of system.daemons) {
        await daemon.expectNoDrops({ alone: scenario.endsWith('different-subnets') });
        daemon.expectQuietLog();
      }
      expect(system.daemons).toHaveLength(scenario.startsWith('across') ? 2 : 1);
      await expectFirewall(system, path);
    });

    it(`the kernel carries every frame: ${scenario}`, async (context) => {
      const system = stand(new KernelSystem());
      skipWithout(context, system.lack());
      const path = await system.build(scenario);
      expectAll(await trial(path, load()), ttlOf(scenario));
      if (lack('command:nft') === undefined) await expectFirewall(system, path);
    });

    it(`Open vSwitch carries every frame: ${scenario}`, async (context) => {
      const system = stand(new OvsSystem());
      skipWithout(context, system.lack());
      const path = await system.build(scenario);
      expectAll(await trial(path, load()), ttlOf(scenario));
    });
  }

  it('lets nothing in that the security group does not name', async () => {
    const system = stand(new VtepdSystem({ name: 'vtepd', mode: 'af_packet' }));
    const path = await system.build('across-hosts-same-subnet');
    const ports = system.document.ports!.map((port) => ({ ...port, securityGroups: [] }));
    const groups = [{ name: 'generator', rules: [] }];
    const denied = ports.map((port) => ({ ...port, securityGroups: ['generator'] }));
    await system.apply({ ...system.document, securityGroups: groups, ports: denied });
    const result = await trial(path, load({ direction: 'forward', count: 100 }));
    expect(result.counts[0]).toMatchObject({ sent: 100, received: 0, longestGap: { frames: 100 } });
  });
});

describeWith(['root', 'veth'], 'a topology file', () => {
  it('names devices that are there, whoever made them', async () => {
    const loop = stand(new Loop());
    const { ends } = await loop.build('same-host-same-subnet');
    const file = loop.lab.path('lab.yaml');
    const write = (right: object) => {
      const topology = { systems: [{ name: 'loop', ends: [ends[0], { ...ends[1], ...right }] }] };
      writeFileSync(file, JSON.stringify(topology));
      return systemsOf(file)[0]!;
    };
    const named = write({});
    const path = await named.build('across-hosts-same-subnet');
    expect(path.ends).toEqual(ends);
    expectAll(await trial(path, load()), sentTtl);
    await named.close();
    const missing = write({ device: 'eth9' });
    await expect(missing.build('across-hosts-same-subnet')).rejects.toThrow(/eth9/);
  });
});

describeWith(['root', 'veth'], 'extras', () => {
  const flows = 16;
  const setting = (system: LabSystem, rate: number, seconds: number): ExtraSetting => ({
    ...{ generator: builtinGenerator, systems: [stand(system)], progress: () => undefined },
    options: {
      frames: { name: '128', shares: [{ size: 128, weight: 1 }] },
      ...{ rate, seconds, flows, scenario: 'across-hosts-same-subnet' },
    },
  });
  const vtepd = () => new VtepdSystem({ name: 'vtepd', mode: 'af_packet' });
  const run = (name: string, wanted: ExtraSetting) =>
    extras.find((extra) => extra.name === name)!.run(wanted);
  const show = (rows: readonly ExtraRow[]) => {
    for (const row of rows) {
      process.stdout.write(`${row.case}: ${row.metric} ${row.value ?? row.fault}\n`);
    }
  };
  const figure = (rows: readonly ExtraRow[], name: string, metric: string) =>
    rows.find((row) => row.case === name && row.metric === metric)?.value;

  it('a soak over vtepd loses nothing in any part', async () => {
    const rows = await run('soak', setting(vtepd(), 2000, 3));
    expect(rows.map(({ value }) => value)).toEqual([0, 0, 0, 0]);
  });

  it('vtepd killed and started under load loses nothing', async () => {
    const rows = await run('restart', setting(vtepd(), 2000, 9));
    show(rows);
    expect(figure(rows, 'every vtepd killed and started', 'lost frames')).toBe(0);
    const lost = figure(rows, 'a data path killed, vtepd starts another', 'lost frames');
    expect(lost, 'while there is no data path').toBeGreaterThan(0);
  });

  it('1,000 tunnels that come and go under traffic cost no frame', async () => {
    const rows = await run('reconfigure', setting(vtepd(), 2000, 9));
    show(rows);
    for (const name of ['1000 tunnels added', '1000 tunnels removed']) {
      expect(figure(rows, name, 'lost frames'), name).toBe(0);
    }
  });
});
