// cli/commands/top.ts — `vtepctl top`: what every port and worker does right now.
//
// Counters are read only; rates are differences of two readings by the daemon's own clock.

import type { TopView } from '../../control/switch-api.ts';
import { bitRate, count, microseconds } from '../human.ts';
import { printItem, table } from '../output.ts';
import { intervalMsDefault, repeat, wipe } from '../repeat.ts';
import type { Context, Verb } from '../verb.ts';

const bitsPerByte = 8;
const msPerSecond = 1000;

export const verb: Verb = {
  name: 'top',
  summary: 'show rates of ports and workers, again and again',
  description:
    'Shows packets and bits per second of every port, where packets of every worker found their\n' +
    'flow, and how long the slow path takes; again every second until Ctrl-C.',
  options: [
    { flags: '--once', description: 'one reading of one second, then end' },
    { flags: '-n, --count <readings>', description: 'end after so many', range: [1, 1e9] },
    {
      flags: '--interval <ms>',
      description: `milliseconds between readings (default: ${intervalMsDefault})`,
      range: [10, 3_600_000],
    },
  ],
  examples: [
    ['vtepctl top', 'live table'],
    ['vtepctl top --once', 'one table, for scripts'],
    ['vtepctl top --count 10 -o json', 'ten readings with counters and rates, one a line'],
  ],
  async run(context) {
    const { once, count: readings, interval } = context.options;
    const times = once === true ? 1 : (readings as number | undefined);
    const intervalMs = (interval as number | undefined) ?? intervalMsDefault;
    let before: TopView | undefined;
    // The first reading is only the ground that rates stand on.
    const turns = { intervalMs, times: times === undefined ? undefined : times + 1 };
    await repeat(context.io, turns, async () => {
      const now = await context.client.top();
      if (before !== undefined) await show(context, before, now);
      before = now;
    });
  },
};

async function show(context: Context, before: TopView, now: TopView): Promise<void> {
  const rates = ratesBetween(before, now);
  await printItem(context, { ...now, rates }, async () => {
    return wipe(context.io) + (await renderTop(now, rates));
  });
}

/** Per second. */
export interface Rates {
  readonly seconds: number;
  readonly ports: readonly { port: string; number: number; rates: Record<string, number> }[];
  readonly workers: readonly { worker: number; rates: Record<string, number> }[];
}

type Counters = Readonly<Record<string, number>>;

/** How fast every counter of `now` grew; a counter that was not there before grew by nothing. */
export function ratesBetween(before: TopView, now: TopView): Rates {
  const seconds = Math.max(1, now.timeMs - before.timeMs) / msPerSecond;
  const perSecond = (counters: Counters, old: Counters = counters) =>
    Object.fromEntries(
      Object.entries(counters).map(([name, value]) => {
        // A counter that shrank belongs to a datapath that started anew.
        const growth = Math.max(0, value - (old[name] ?? value));
        return [name, growth / seconds];
      }),
    );
  const oldPorts = new Map(before.ports.map(({ number, counters }) => [number, counters]));
  const oldWorkers = new Map(before.workers.map(({ worker, counters }) => [worker, counters]));
  return {
    seconds,
    ports: now.ports.map(({ port, number, counters }) => {
      return { port, number, rates: perSecond(counters, oldPorts.get(number)) };
    }),
    workers: now.workers.map(({ worker, counters }) => {
      return { worker, rates: perSecond(counters, oldWorkers.get(worker)) };
    }),
  };
}

async function renderTop(now: TopView, rates: Rates): Promise<string> {
  const ports = await portTable(now, rates);
  const workers = await workerTable(rates);
  const { upcalls, flowsInstalled, flowsRemoved, latencyUs } = now.slowPath;
  const { p50, p99, max } = latencyUs;
  const slowPath =
    `slow path: ${count(upcalls)} upcalls, ${count(flowsInstalled)} flows installed, ` +
    `${count(flowsRemoved)} removed; latency ${microseconds(p50)} median, ` +
    `${microseconds(p99)} p99, ${microseconds(max)} max\n`;
  return `${ports}\n${workers}\n${slowPath}`;
}

function portTable(now: TopView, rates: Rates): Promise<string> {
  const names = ['PORT', 'DEVICE'].map((head) => ({ head }));
  const numbers = ['RX PPS', 'RX', 'TX PPS', 'TX', 'DROPS/S', 'UPCALLS/S'].map((head) => {
    return { head, isNumber: true };
  });
  const rows = now.ports.map(({ port, device }, index) => {
    const rate = (name: string) => rates.ports[index]?.rates[name] ?? 0;
    return [
      port,
      device,
      count(rate('rx_packets')),
      bitRate(rate('rx_bytes') * bitsPerByte),
      count(rate('tx_packets')),
      bitRate(rate('tx_bytes') * bitsPerByte),
      count(rate('drops')),
      count(rate('upcalls')),
    ];
  });
  return table([...names, ...numbers], rows);
}

const workerColumns = [
  ['EXACT/S', 'exact_hits'],
  ['MEGAFLOW/S', 'megaflow_hits'],
  ['MISS/S', 'misses'],
  ['BREATHS/S', 'breaths'],
  ['SLEEPS/S', 'sleeps'],
] as const;

function workerTable(rates: Rates): Promise<string> {
  const columns = [
    { head: 'WORKER' },
    ...workerColumns.map(([head]) => ({ head, isNumber: true })),
  ];
  const rows = rates.workers.map(({ worker, rates: of }) => [
    `${worker}`,
    ...workerColumns.map(([, name]) => count(of[name] ?? 0)),
  ]);
  return table(columns, rows);
}
