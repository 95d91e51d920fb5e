// bench/rfc2544/extras.test.ts — what the extras make of trials, with a generator that is
// simulated.

import { expect, test } from 'vitest';
import { rampSteps } from '../../../../bench/rfc2544/extra/ramp.ts';
import { withTunnels } from '../../../../bench/rfc2544/extra/reconfigure.ts';
import { type ExtraSetting, extras } from '../../../../bench/rfc2544/extras.ts';
import type { Path, System } from '../../../../bench/rfc2544/path.ts';
import type { Count, Generator, Load, TrialResult } from '../../../../bench/rfc2544/trial.ts';
import { parseDocument } from '../../../../src/model/parse.ts';

const end = { namespace: undefined, device: 'd', mac: 'm', ip: '10.0.0.1', nextHopMac: 'm' };
const path: Path = { ends: [end, end] };

/** A system that stands and falls as it is told, and says whether it stands. */
function simulated(): System & { standing: boolean } {
  return {
    ...{ name: 'simulated', standing: false, lack: () => undefined, version: async () => '1' },
    async build() {
      this.standing = true;
      return path;
    },
    async close() {
      this.standing = false;
    },
  };
}

/** A generator that loses what `lose` says of the frames of each direction. */
function generator(lose: (load: Load) => number, fault?: string) {
  const loads: Load[] = [];
  const made: Generator = {
    ...{ name: 'simulated', version: '1', close: async () => undefined },
    async trial(load: Load): Promise<TrialResult> {
      loads.push(load);
      const { count: sent, rate } = load;
      const latency = {
        ...{ count: sent, min: 1, average: 2, max: 9, jitter: 1 },
        buckets: [[2, sent - 1] as const, [9, 1] as const],
      };
      const lost = lose(load);
      const one: Count & object = {
        ...{ sent, received: sent - lost, reordered: 0, duplicated: 0, latency },
        ...{ longestGap: { frames: lost, at: 0 }, lostByBlock: [lost] },
      };
      const counts = load.direction === 'both' ? [one, one] : [one];
      return { counts, seconds: sent / rate, fault };
    },
  };
  return { loads, made };
}

function setting(made: Generator, systems: readonly System[]): ExtraSetting {
  return {
    ...{ generator: async () => made, systems, progress: () => undefined },
    options: {
      frames: { name: '64', shares: [{ size: 64, weight: 1 }] },
      ...{ rate: 1000, seconds: 10, flows: 4, scenario: 'across-hosts-same-subnet' },
    },
  };
}

const named = (name: string) => extras.find((extra) => extra.name === name)!;

test('a soak counts losses as a whole and by part, and takes its system down', async () => {
  const system = simulated();
  const rows = await named('soak').run(setting(generator(() => 3).made, [system]));
  expect(rows[0]).toMatchObject({ case: 'all', metric: 'lost frames', value: 6 });
  expect(rows[1]).toMatchObject({ case: 'from 0.0 s', value: 6 });
  expect(rows).toHaveLength(1 + 10);
  expect(system.standing).toBe(false);
});

test('a ramp sends every flow once before it counts, and all flows in each step', async () => {
  const { loads, made } = generator(({ flows }) => (flows === 100_000 ? 1000 : 0));
  const rows = await named('many-flows').run(setting(made, [simulated()]));
  expect(loads.map(({ flows }) => flows)).toEqual(rampSteps.flatMap((flows) => [flows, flows]));
  expect(loads.every(({ count, flows }) => count >= flows)).toBe(true);
  const of = (flows: number, metric: string) =>
    rows.find((row) => row.case === `${flows} flows` && row.metric === metric)?.value;
  expect(of(100_000, 'lost %')).toBe(1);
  expect(of(10, 'lost %')).toBe(0);
  expect(of(1, 'p99 us')).toBe(2);
  expect(of(1, 'received frames/s')).toBe(1000);
});

test('a fault of the generator is in every row, and no value', async () => {
  for (const name of ['soak', 'many-flows']) {
    const rows = await named(name).run(setting(generator(() => 0, 'too slow').made, [simulated()]));
    expect(rows.length).toBeGreaterThan(0);
    for (const row of rows) expect(row).toMatchObject({ value: undefined, fault: 'too slow' });
  }
});

test('what only vtepd can do leaves other systems alone', async () => {
  const { loads, made } = generator(() => 0);
  for (const name of ['reconfigure', 'restart']) {
    expect(await named(name).run(setting(made, [simulated()]))).toEqual([]);
  }
  expect(loads).toEqual([]);
});

test('a thousand tunnels are a document that vtepd takes', () => {
  const document = withTunnels({ networks: [{ name: 'blue', vni: 100 }] }, 1000);
  const { hosts, ports } = parseDocument(JSON.stringify(document));
  expect(new Set(hosts.map(({ tunnelIp }) => tunnelIp)).size).toBe(1000);
  expect(new Set(ports.map(({ mac }) => mac)).size).toBe(1000);
});
