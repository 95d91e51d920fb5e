// switch/views.ts — what is installed and counted, as the control API shows it.
//
// Reads shared memory, never writes. The rules behind a flow are not stored: its key is translated
// again, so they are those of today.

import type {
  DropRule,
  DropView,
  FlowView,
  PortCounters,
  RecentPacket,
  TopView,
} from '../control/switch-api.ts';
import type { DatapathCounters } from '../datapath/counters.ts';
import { formatActions } from '../flow/actions.ts';
import { dropReasonTexts } from '../flow/drop-reasons.ts';
import { formatMatch } from '../flow/key-text.ts';
import { Translation, translate } from '../pipeline/translate.ts';
import { type DropCount, type DropSample, fromTunnel } from '../slowpath/drop-ledger.ts';
import { monotonicMs } from '../slowpath/slow-path.ts';
import type { Names } from './names.ts';
import type { Runtime } from './runtime.ts';

/** Packets that have no port: those that we made, such as answers of the slow path. */
const noPort = '(none)';

export function flowViews(runtime: Runtime, names: Names, counters: DatapathCounters): FlowView[] {
  const { flows, pipeline } = runtime.slowPath;
  const walk = new Translation();
  const now = monotonicMs();
  const views: FlowView[] = [];
  const { slots } = flows.memory;
  for (let slot = 1; slot <= flows.highest; slot += 1) {
    if (!flows.isLinked(slot)) continue;
    const [key, mask, actions] = [flows.keyAt(slot), flows.maskAt(slot), flows.actionsAt(slot)];
    translate(pipeline, slots, key, walk);
    const { packets, bytes, usedMs } = counters.flow(slot);
    views.push({
      id: slot,
      match: formatMatch(slots, key, slots, mask, names),
      actions: formatActions(slots, actions, flows.actionCount(slot), names),
      packets,
      bytes,
      idleSeconds: usedMs === 0 ? null : Math.max(0, now - usedMs) / 1000,
      ageSeconds: Math.max(0, now - flows.createdMs(slot)) / 1000,
      decision: walk.rules.flatMap((rule) => (rule === undefined ? [] : [rule.id])),
    });
  }
  return views;
}

export function dropViews(runtime: Runtime, names: Names, counters: DatapathCounters): DropView[] {
  const byReason = new Map<number, DropCount[]>();
  for (const one of runtime.slowPath.drops.counts()) {
    const others = byReason.get(one.reason);
    if (others === undefined) byReason.set(one.reason, [one]);
    else others.push(one);
  }
  return dropReasonTexts.flatMap(({ name, help }, reason) => {
    if (reason === 0) return [];
    const ports = counters
      .dropsOf(reason)
      .map(({ port, packets }) => ({ port: portLabel(names, port), packets }));
    const packets = ports.reduce((sum, one) => sum + one.packets, 0);
    const rules = (byReason.get(reason) ?? []).map((one) => dropRule(one, names));
    rules.sort((one, other) => (other.packets ?? 0) - (one.packets ?? 0));
    return [{ reason: name, help, packets, ports, rules }];
  });
}

function dropRule(count: DropCount, names: Names): DropRule {
  const { port, rule, origin, path, packets, recent } = count;
  return {
    port: portLabel(names, port),
    rule,
    origin,
    path,
    packets: rule === '' ? null : packets,
    recent: recent === undefined ? null : recentPacket(recent),
  };
}

function recentPacket({ timeMs, packet, originalBytes }: DropSample): RecentPacket {
  return { timeMs, bytes: Buffer.from(packet).toString('base64'), originalBytes };
}

export function topView(runtime: Runtime, names: Names, counters: DatapathCounters): TopView {
  const { counts, latency } = runtime.slowPath;
  return {
    timeMs: Date.now(),
    ports: runtime.native.listPorts().map(
      ({ number, name, device, uplink }): PortCounters => ({
        port: names.portName(number) ?? name,
        device: device ?? '',
        number,
        uplink: uplink ?? false,
        counters: counters.port(number),
      }),
    ),
    workers: Array.from({ length: runtime.native.workerCount }, (_, worker) => ({
      worker,
      counters: counters.worker(worker),
    })),
    slowPath: {
      upcalls: counts.upcalls,
      flowsInstalled: counts.flows,
      flowsRemoved: counts.removed + counts.expired,
      latencyUs: {
        p50: latency.percentileUs(0.5),
        p99: latency.percentileUs(0.99),
        max: latency.maxUs,
      },
    },
  };
}

function portLabel(names: Names, port: number): string {
  if (port === fromTunnel) return 'uplink';
  return port === 0 ? noPort : (names.portName(port) ?? `${port}`);
}
