// control/routes/metrics.ts — counters in the text format of Prometheus.
//
// The switch keeps the numbers; each scrape reads them once. prom-client is loaded by the first
// scrape: a host without Prometheus does not pay for it.

import type { Registry } from 'prom-client';
import type { DataRoute } from '../route.ts';
import type { DropView, ObjectStatus, SwitchApi, SwitchStatus, TopView } from '../switch-api.ts';

type Client = typeof import('prom-client');
type Labels = Readonly<Record<string, string | number>>;
type Sample = readonly [labels: Labels, value: number];

interface Family {
  readonly name: string;
  readonly help: string;
  readonly type: 'counter' | 'gauge';
  readonly samples: readonly Sample[];
}

const prefix = 'vtepd';
const usPerSecond = 1_000_000;
const msPerSecond = 1000;

/** All metrics as text. */
export async function metricsText(api: SwitchApi): Promise<string> {
  const { default: client } = await import('prom-client');
  const registry = new client.Registry();
  const [status, top] = [api.status(), api.top()];
  const families = [
    ...portFamilies(top),
    ...workerFamilies(top),
    ...slowPathFamilies(top),
    dropFamily(api.drops()),
    ...statusFamilies(status),
    tunnelFamily(api.objects('hosts'), status.host),
  ];
  for (const family of families) register(client, registry, family);
  return registry.metrics();
}

function register(client: Client, registry: Registry, family: Family): void {
  const { name, help, samples } = family;
  const labelNames = Object.keys(samples[0]?.[0] ?? {});
  const options = { name: `${prefix}_${name}`, help, labelNames, registers: [registry] };
  if (family.type === 'counter') {
    const counter = new client.Counter(options);
    for (const [labels, value] of samples) counter.inc({ ...labels }, value);
  } else {
    const gauge = new client.Gauge(options);
    for (const [labels, value] of samples) gauge.set({ ...labels }, value);
  }
}

function portFamilies(top: TopView): Family[] {
  const names = new Set(top.ports.flatMap(({ counters }) => Object.keys(counters)));
  return [...names].map((name) => ({
    name: `port_${name}_total`,
    help: `Counter ${name} of a port.`,
    type: 'counter',
    samples: top.ports.map(({ port, device, uplink, counters }) => {
      return [{ port, device, uplink: `${uplink}` }, counters[name] ?? 0];
    }),
  }));
}

function workerFamilies(top: TopView): Family[] {
  const names = new Set(top.workers.flatMap(({ counters }) => Object.keys(counters)));
  return [...names].map((name) => ({
    name: `worker_${name}_total`,
    help: `Counter ${name} of a worker.`,
    type: 'counter',
    samples: top.workers.map(({ worker, counters }) => [{ worker }, counters[name] ?? 0]),
  }));
}

function slowPathFamilies({ slowPath }: TopView): Family[] {
  const { p50, p99, max } = slowPath.latencyUs;
  const latency = Object.entries({ '0.5': p50, '0.99': p99, '1': max });
  return [
    counter('upcalls_total', 'Packets that the slow path answered.', slowPath.upcalls),
    counter('flows_installed_total', 'Flows put into the datapath.', slowPath.flowsInstalled),
    counter('flows_removed_total', 'Flows taken from the datapath.', slowPath.flowsRemoved),
    {
      name: 'upcall_latency_seconds',
      help: "From a packet's arrival to its verdict, quantiles since start.",
      type: 'gauge',
      samples: latency.map(([quantile, us]) => [{ quantile }, us / usPerSecond]),
    },
  ];
}

function dropFamily(drops: readonly DropView[]): Family {
  const samples = drops.flatMap(({ reason, ports }) =>
    ports.map(({ port, packets }): Sample => [{ reason, port }, packets]),
  );
  return { name: 'drops_total', help: 'Packets dropped, by reason.', type: 'counter', samples };
}

function statusFamilies(status: SwitchStatus): Family[] {
  const { counts, datapath, host, version, startedMs, audit, flowLog } = status;
  const recovery = datapath.lastRecoveryMs;
  return [
    {
      name: 'info',
      help: 'The host and the version.',
      type: 'gauge',
      samples: [[{ host, version }, 1]],
    },
    gauge('start_time_seconds', 'Start of vtepd, Unix time.', startedMs / msPerSecond),
    gauge('datapath_up', '1 while a datapath is attached.', Number(datapath.state === 'attached')),
    counter('datapath_restarts_total', 'Times the datapath died.', datapath.restarts),
    ...(recovery === null
      ? []
      : [gauge('datapath_last_recovery_seconds', 'Last recovery.', recovery / msPerSecond)]),
    gauge('ports', 'Ports of this host.', counts.ports),
    gauge('tunnels', 'Tunnels of this host.', counts.tunnels),
    gauge('networks', 'Networks of the document.', counts.networks),
    gauge('rules', 'Rules of the pipeline.', counts.rules),
    gauge('flows', 'Megaflows in the datapath.', counts.flows),
    gauge('learned_addresses', 'Addresses learned.', counts.learned),
    counter('audited_entries_total', 'Live entries held against the rules.', audit.audited),
    ...(flowLog === null
      ? []
      : [
          counter('flow_records_total', 'Records of the flow log.', flowLog.written),
          counter('flow_records_lost_total', 'Records that could not be kept.', flowLog.lost),
        ]),
    counter('audit_mismatches_total', 'Entries that were wrong: bugs.', audit.mismatches),
  ];
}

/** A remote host's tunnel is resolved when the host is in force here. */
function tunnelFamily(hosts: readonly ObjectStatus[], self: string): Family {
  const remote = hosts.filter(({ name, state }) => name !== self && state !== 'elsewhere');
  return {
    name: 'tunnel_resolved',
    help: '1 when the route and the next hop to a remote host are known.',
    type: 'gauge',
    samples: remote.map(({ name, state }) => [{ remote: name }, Number(state !== 'waiting')]),
  };
}

function counter(name: string, help: string, value: number): Family {
  return { name, help, type: 'counter', samples: [[{}, value]] };
}

function gauge(name: string, help: string, value: number): Family {
  return { name, help, type: 'gauge', samples: [[{}, value]] };
}

export const metricsRoutes: readonly DataRoute[] = [
  {
    method: 'GET',
    path: '/metrics',
    name: 'getMetrics',
    description: 'Counters for Prometheus.',
    answer: { type: 'text/plain; version=0.0.4', description: 'Metrics.' },
    answerTo: (api) => metricsText(api),
  },
];
