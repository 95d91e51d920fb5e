// bench/rfc2544/extra/reconfigure.ts — 1,000 tunnels come and go under traffic: who is blocked?
//
// The document gets 1,000 more hosts, each with a port in the network of the ends, by vtepd's
// control API, on every host; that makes a tunnel and a place in the replication list of each. Then
// they go again.

import type { SwitchStatus } from '../../../src/control/switch-api.ts';
import { waitUntil } from '../../../test/support/wait.ts';
import { networks } from '../topology/layout.ts';
import { type NetworkDocument, VtepdSystem } from '../topology/vtepd.ts';
import { type Disturbance, disturb } from './disturb.ts';
import type { Extra, ExtraRow, ExtraSetting } from './extra.ts';

export const tunnelCount = 1000;
/** Underlay addresses of the new hosts: reached by the other host of the lab, which drops them. */
const underlay = '172.30';
const perOctet = 250;

const byte = (number: number) => number.toString(16).padStart(2, '0');

/** A document with so many hosts more. */
export function withTunnels(document: NetworkDocument, count: number): NetworkDocument {
  const numbers = Array.from({ length: count }, (_, at) => at);
  const high = (at: number) => Math.floor(at / perOctet);
  const low = (at: number) => (at % perOctet) + 1;
  const hosts = numbers.map((at) => ({
    ...{ name: `far${at}`, tunnelIp: `${underlay}.${high(at)}.${low(at)}` },
  }));
  const ports = numbers.map((at) => ({
    ...{ name: `far${at}`, network: networks.blue.name, host: `far${at}`, device: 'eth0' },
    ...{ mac: `02:00:00:01:${byte(high(at))}:${byte(low(at))}`, ips: [] },
  }));
  return {
    ...document,
    hosts: [...(document.hosts ?? []), ...hosts],
    ports: [...(document.ports ?? []), ...ports],
  };
}

/** Roads to the new hosts, so that their tunnels are complete. */
async function addRoutes({ lab, daemons }: VtepdSystem): Promise<void> {
  for (const { host } of daemons) {
    const [device, other] = host === 'h1' ? ['u1', '172.31.1.2'] : ['u2', '172.31.1.1'];
    const route = ['route', 'add', `${underlay}.0.0/16`, 'via', other, 'dev', device];
    await lab.must(host, 'ip', route);
  }
}

/** Waits until every daemon has as many tunnels as fit, and all of them are resolved. */
async function settled(system: VtepdSystem, fits: (tunnels: number) => boolean): Promise<void> {
  for (const daemon of system.daemons) {
    let said = '';
    const done = async () => {
      const { counts, warnings }: SwitchStatus = await daemon.status();
      said = [`${counts.tunnels} tunnels`, ...warnings.slice(0, 2)].join('; ');
      return fits(counts.tunnels) && !warnings.some((text) => text.includes('tunnel'));
    };
    const what = () => `the vtepd of ${daemon.host} to have its tunnels; it has ${said}`;
    await waitUntil(done, { what });
  }
}

const added: Disturbance = {
  extra: 'reconfigure',
  case: `${tunnelCount} tunnels added`,
  prepare: addRoutes,
  act: async (system) => {
    await system.apply(withTunnels(system.document, tunnelCount));
    await settled(system, (tunnels) => tunnels >= tunnelCount);
  },
};

const removed: Disturbance = {
  extra: 'reconfigure',
  case: `${tunnelCount} tunnels removed`,
  prepare: async (system) => {
    await addRoutes(system);
    await system.apply(withTunnels(system.document, tunnelCount));
  },
  act: async (system) => {
    const { hosts = [], ports = [] } = system.document;
    const near = <Named extends object>(list: readonly Named[]) =>
      list.filter((one) => !('name' in one && String(one.name).startsWith('far')));
    await system.apply({ ...system.document, hosts: near(hosts), ports: near(ports) });
    await settled(system, (tunnels) => tunnels < tunnelCount);
  },
};

async function run(setting: ExtraSetting): Promise<readonly ExtraRow[]> {
  const rows: ExtraRow[] = [];
  for (const system of setting.systems) {
    if (!(system instanceof VtepdSystem)) continue;
    for (const one of [added, removed]) rows.push(...(await disturb(setting, system, one)));
  }
  return rows;
}

export const reconfigure: Extra = {
  name: added.extra,
  summary: '1,000 tunnels added and removed by the control API under traffic: blocked time',
  run,
};
