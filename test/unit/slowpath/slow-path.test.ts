// slowpath/slow-path.test.ts — the whole, with obedient workers: traffic, changes, restarts.

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { flowKeyWords } from '../../../src/flow/key.ts';
import { Pipeline } from '../../../src/pipeline/pipeline.ts';
import { Translation, translate } from '../../../src/pipeline/translate.ts';
import { type Compiled, compile, nothingCompiled } from '../../../src/rules/compile.ts';
import { diffCompiled } from '../../../src/rules/diff.ts';
import { commandKind } from '../../../src/slowpath/datapath-port.ts';
import { monotonicMs, SlowPath } from '../../../src/slowpath/slow-path.ts';
import { arbitraryPacket } from '../rules/arbitrary-packet.ts';
import { documentOf, example, TestNetwork } from '../rules/network.ts';
import { FakeDatapath, type FakeOptions } from './fake-datapath.ts';

const fail = (message: string, error: unknown): never => {
  throw new Error(message, { cause: error });
};

/** A host's slow path over a fake datapath, with time in its hands. */
class Bench {
  readonly network: TestNetwork;
  readonly datapath: FakeDatapath;
  readonly time: { ms: number };
  slowPath: SlowPath;
  compiled: Compiled;

  constructor(network: TestNetwork, options: FakeOptions = {}) {
    this.network = network;
    this.datapath = new FakeDatapath(options);
    this.time = { ms: 5_000_000_000 };
    this.compiled = network.compiled;
    this.slowPath = this.restart(network.compiled).slowPath;
  }

  /** A new vtepd with these rules takes over; the datapath has gone on. */
  restart(compiled: Compiled) {
    const slowPath = new SlowPath({
      datapath: this.datapath,
      pipeline: new Pipeline(),
      nowMs: () => this.time.ms,
      log: fail,
    });
    const { rules } = diffCompiled(nothingCompiled, compiled);
    slowPath.applyRules(rules, compiled.learning);
    this.slowPath = slowPath;
    this.compiled = compiled;
    const reconciled = slowPath.reconcile();
    this.settle();
    return { slowPath, reconciled };
  }

  apply(compiled: Compiled): void {
    const { rules } = diffCompiled(this.compiled, compiled);
    this.slowPath.applyRules(rules, compiled.learning);
    this.compiled = compiled;
  }

  /** One packet, with everything that follows from it. */
  send(text: string, worker = 0): void {
    this.packet(this.network.key(text), worker);
  }

  packet(key: Uint32Array, worker = 0): void {
    if (this.datapath.workers[worker]!.packet(key, this.time.ms) !== undefined) return;
    this.slowPath.answer();
    this.datapath.obey();
  }

  /** Ticks until flows and rules agree. */
  settle(): void {
    for (let count = 0; count < 20; count += 1) {
      const done = this.slowPath.tick(1000);
      this.datapath.obey();
      if (done && !this.slowPath.behind) return;
    }
    throw new Error('the slow path does not come to rest');
  }

  /** Throws when a worker's flow is not what today's rules say of its packets. */
  check(): void {
    const out = new Translation();
    for (const worker of this.datapath.workers) {
      expect(worker.complaints).toEqual([]);
      for (const flow of worker.flows) {
        translate(this.slowPath.pipeline, flow.key, 0, out);
        expect(flow.actions).toEqual(out.actions.slice(0, out.actionCount));
        expect(flow.mask).toEqual(out.mask.slice(0, flowKeyWords));
        expect(this.slowPath.flows.isLinked(flow.slot)).toBe(true);
      }
    }
  }
}

const trunk = example('trunk.yaml');
const lab = 'in_port=t1,vlan_vid=30,eth_type=ip';
const peer = 'in_port=uplink0,tunnel_id=300,tunnel_src=old-switch/vxlan,eth_type=ip';
const one = '02:77:00:00:00:01';
const two = '02:77:00:00:00:02';

describe('after any traffic and any changes', () => {
  test("the workers hold no flow that today's rules would not make", () => {
    const shared = new TestNetwork(trunk, 'h1');
    const packets = fc.array(fc.tuple(arbitraryPacket(trunk, shared), fc.nat(1)), {
      maxLength: 60,
    });
    const kept = fc.subarray([...trunk.ports], { minLength: 2 });
    const phases = fc.array(fc.tuple(packets, kept, fc.boolean()), { minLength: 1, maxLength: 4 });
    fc.assert(
      fc.property(phases, (list) => {
        const bench = new Bench(shared, { workers: 2, flows: 48, start: 2 ** 32 - 4096 });
        for (const [keys, ports, restart] of list) {
          for (const [key, worker] of keys) bench.packet(key, worker);
          const { numbering } = shared;
          const compiled = compile(
            { ...trunk, ports },
            { host: 'h1', numbering, uplinkDevice: 'uplink0' },
          );
          if (restart) bench.restart(compiled);
          else bench.apply(compiled);
          bench.settle();
          bench.check();
          bench.time.ms += 700;
        }
        bench.time.ms += 30_000;
        bench.settle();
        expect(bench.slowPath.flows.size).toBe(0);
        expect(bench.slowPath.flows.fill).toBe(0);
        for (const worker of bench.datapath.workers) expect(worker.flows).toEqual([]);
      }),
      { numRuns: 60 },
    );
  });
});

describe('a new vtepd', () => {
  const packets = ['02:00:00:00:01:02', 'ff:ff:ff:ff:ff:ff', '02:00:00:00:01:0a'].map(
    (mac) => `in_port=t1,eth_src=02:00:00:00:01:00,eth_dst=${mac},eth_type=ip,ip_src=10.0.0.10`,
  );

  test('keeps every flow that its rules would make again, and touches no worker', () => {
    const bench = new Bench(new TestNetwork(trunk, 'h1'), { workers: 2 });
    for (const packet of packets) bench.send(packet);
    const [worker] = bench.datapath.workers;
    const flows = [...worker!.flows];
    worker!.sent.length = 0;
    const { reconciled } = bench.restart(bench.compiled);
    expect(reconciled).toEqual({ kept: 3, replaced: 0, removed: 0, expired: 0 });
    expect(worker!.flows).toEqual(flows);
    expect(worker!.sent).toEqual([]);
    bench.check();
  });

  test('replaces flows whose actions are wrong, the new one first', () => {
    const network = new TestNetwork(trunk, 'h1');
    const bench = new Bench(network);
    for (const packet of packets) bench.send(packet);
    const networks = trunk.networks.map((entry) => ({ ...entry, mtu: 1400 }));
    const ports = trunk.ports.filter(({ name }) => name !== 'vm-blue');
    const { numbering } = network;
    const other = compile(
      { ...trunk, networks, ports },
      { host: 'h1', numbering, uplinkDevice: 'uplink0' },
    );
    const [worker] = bench.datapath.workers;
    worker!.sent.length = 0;
    const { reconciled } = bench.restart(other);
    expect(reconciled).toEqual({ kept: 0, replaced: 3, removed: 0, expired: 0 });
    expect(worker!.sent.map(([kind]) => kind)).toEqual(
      [1, 2, 3].flatMap(() => [commandKind.InstallFlow, commandKind.RemoveFlow]),
    );
    bench.check();
    expect(worker!.flows).toHaveLength(3);
  });

  test('reads what was learned back from the flows', () => {
    const bench = new Bench(new TestNetwork(trunk, 'h1'));
    bench.send(`${peer},eth_src=${one},eth_dst=${two}`);
    bench.send(`${lab},eth_src=${two},eth_dst=${one}`);
    bench.settle();
    bench.send(`${peer},eth_src=${one},eth_dst=${two}`);
    const before = [...bench.datapath.workers[0]!.flows];
    const { slowPath, reconciled } = bench.restart(bench.compiled);
    expect(slowPath.learning.size).toBe(2);
    expect(reconciled).toEqual({ kept: before.length, replaced: 0, removed: 0, expired: 0 });
    expect(bench.datapath.workers[0]!.flows).toEqual(before);
  });
});

describe('learning', () => {
  test('an answer teaches the way back, and flooding flows follow', () => {
    const bench = new Bench(new TestNetwork(trunk, 'h1'));
    const [worker] = bench.datapath.workers;
    const there = `${lab},eth_src=${two},eth_dst=${one}`;
    bench.send(there);
    expect(bench.slowPath.learning.size).toBe(1);
    bench.send(`${peer},eth_src=${one},eth_dst=${two}`);
    bench.settle();
    bench.check();
    bench.send(there);
    const out = bench.network.walk(there);
    translate(bench.slowPath.pipeline, bench.network.key(there), 0, out);
    expect(worker!.flows.at(-1)?.actions).toEqual(out.actions.slice(0, out.actionCount));
    expect(out.actionCount).toBe(13);
    expect(bench.slowPath.learning.size).toBe(2);
  });

  test('follows an address that moves', () => {
    const bench = new Bench(new TestNetwork(trunk, 'h1'));
    bench.send(`${peer},eth_src=${one},eth_dst=${two}`);
    const first = [...bench.slowPath.learning.entries()][0]!.location;
    bench.send(`${lab},eth_src=${one},eth_dst=${two}`);
    const entries = [...bench.slowPath.learning.entries()];
    expect(entries).toHaveLength(1);
    expect(entries[0]!.location).not.toBe(first);
    bench.settle();
    bench.check();
  });

  test('forgets an address without traffic after the aging time, and keeps one with', () => {
    const bench = new Bench(new TestNetwork(trunk, 'h1'));
    const busy = `${peer},eth_src=${one},eth_dst=ff:ff:ff:ff:ff:ff`;
    bench.send(busy);
    bench.send(`${peer},eth_src=${two},eth_dst=ff:ff:ff:ff:ff:ff`);
    for (let second = 0; second < 125; second += 5) {
      bench.time.ms += 5_000;
      bench.send(busy);
      bench.settle();
    }
    const left = [...bench.slowPath.learning.entries()].map(({ mac }) =>
      Buffer.from(mac).toString('hex'),
    );
    expect(left).toEqual(['027700000001']);
    bench.check();
  });

  test('forgets what was behind a port that is gone', () => {
    const network = new TestNetwork(trunk, 'h1');
    const bench = new Bench(network);
    bench.send(`${peer},eth_src=${one}`);
    const hosts = trunk.hosts.map((host) => ({ ...host, networks: [] }));
    const ports = trunk.ports.filter(({ name }) => name !== 'printer');
    const { numbering } = network;
    bench.apply(
      compile({ ...trunk, hosts, ports }, { host: 'h1', numbering, uplinkDevice: 'uplink0' }),
    );
    bench.settle();
    expect(bench.slowPath.learning.size).toBe(0);
    bench.check();
  });

  test('stops at the limit of a location by name, and goes on when there is room', () => {
    const bench = new Bench(
      new TestNetwork(
        documentOf(`
networks: [{ name: n, vni: 7, learning: { limitPerPort: 2, agingSeconds: 60 } }]
ports:
  - { name: a, network: n, mac: "02:00:00:00:00:0a", host: h1, device: a, portSecurity: false }
`),
        'h1',
      ),
    );
    const from = (last: number) =>
      `in_port=a,eth_src=02:77:00:00:00:0${last},eth_dst=ff:ff:ff:ff:ff:ff`;
    for (const last of [1, 2, 3]) bench.send(from(last));
    expect(bench.slowPath.learning.size).toBe(2);
    const [worker] = bench.datapath.workers;
    expect(worker!.outcomes.map(({ actions }) => actions.length)).toEqual([4, 4, 1]);
    bench.time.ms += 61_000;
    bench.settle();
    bench.send(from(3));
    expect(bench.slowPath.learning.size).toBe(1);
    expect(worker!.outcomes.at(-1)?.actions).toHaveLength(4);
    bench.check();
  });
});

test('the clock is that of the workers: CLOCK_MONOTONIC in milliseconds', () => {
  const [seconds, nanoseconds] = process.hrtime();
  expect(Math.abs(monotonicMs() - (seconds * 1000 + nanoseconds / 1e6))).toBeLessThan(1000);
});
