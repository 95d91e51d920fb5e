// bench/rfc2544/topology/vtepd.ts — vtepd between the ends: a daemon for each host that has one.
//
// Different subnets are joined by its distributed router, and both ends are in a security group
// that lets in the generator's UDP from the same group and nothing else.

import { readFileSync } from 'node:fs';
import type { Lab } from '../../../test/support/netns.ts';
import type { Need } from '../../../test/support/requires.ts';
import type { Host } from '../../../test/support/topology.ts';
import { startAll, Vtepd } from '../../../test/support/vtepd.ts';
import type { Path, ScenarioName } from '../path.ts';
import { LabSystem } from './lab-system.ts';
import { hostsOf, type Layout, layOut, networks, pathOf, portsFrom, portsTo } from './layout.ts';

/** What is asked of vtepd; see the schema in src/model/document.ts. */
export type NetworkDocument = Record<string, readonly object[]>;

const gatewayMac = '0e:00:00:00:00:fe';
const group = 'generator';

export interface VtepdChoice {
  readonly name: string;
  readonly mode: 'af_packet' | 'af_xdp';
  /** Room for so many connections, more than the default; each has two exact entries. */
  readonly connections?: number;
}

export class VtepdSystem extends LabSystem {
  readonly name: string;
  protected readonly needs: readonly Need[];
  readonly #choice: VtepdChoice;
  #daemons: readonly Vtepd[] = [];
  #document: NetworkDocument = {};

  constructor(choice: VtepdChoice) {
    super();
    this.name = choice.name;
    this.needs = choice.mode === 'af_xdp' ? ['xdp-native'] : [];
    this.#choice = choice;
  }

  /** One for each host that has an end; the first is the left end's. */
  get daemons(): readonly Vtepd[] {
    return this.#daemons;
  }

  /** What stands now; apply() takes another. */
  get document(): NetworkDocument {
    return this.#document;
  }

  /** The same with room for so many connections. */
  withConnections(connections: number): VtepdSystem {
    return new VtepdSystem({ ...this.#choice, connections });
  }

  async apply(document: NetworkDocument): Promise<void> {
    this.#document = document;
    for (const daemon of this.#daemons) await daemon.apply(JSON.stringify(document));
  }

  async version(): Promise<string> {
    const files = ['../../../package.json', '../../../../package.json'];
    const text = files.map((file) => new URL(file, import.meta.url)).map(readOrNothing);
    return `${JSON.parse(text.find((one) => one !== '') ?? '{}').version}`;
  }

  protected async construct(lab: Lab, scenario: ScenarioName): Promise<Path> {
    const layout = await layOut(lab, scenario);
    this.#daemons = hostsOf(layout).map((host) => this.#daemon(lab, host));
    await startAll(this.#daemons);
    await this.apply(documentOf(layout, this.#choice.mode));
    return pathOf(lab, layout, () => gatewayMac);
  }

  #daemon(lab: Lab, { ns }: Host): Vtepd {
    const { mode, connections } = this.#choice;
    const socket = lab.path(`${ns}-dp.sock`);
    const room =
      connections === undefined
        ? ''
        : `, connections: ${connections}, exactFlows: ${powerOfTwo(2 * connections)}`;
    const config = [`tunnel: { mode: ${mode} }`, `datapath: { socket: ${socket}${room} }`];
    return new Vtepd(lab, ns, { config });
  }
}

function powerOfTwo(atLeast: number): number {
  return 2 ** Math.ceil(Math.log2(atLeast));
}

function readOrNothing(file: URL): string {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return ''; // Compiled benches are one folder deeper.
  }
}

function documentOf({ hosts, left, right, routed }: Layout, mode: string): NetworkDocument {
  const used = routed ? [networks.blue, networks.green] : [networks.blue];
  const udp = { protocol: 'udp', ports: `${portsFrom}-${portsTo}`, remoteGroup: group };
  return {
    hosts: Object.values(hosts).map(({ ns, ip }) => ({ name: ns, tunnelIp: ip })),
    networks: used.map(({ name, vni }) => ({ name, vni })),
    subnets: used.map(({ name, prefix, gateway }) => ({
      ...{ name: `${name}4`, network: name },
      ...{ cidr: `${prefix}.0/24`, gateway },
    })),
    routers: routed ? [{ name: 'r1', subnets: ['blue4', 'green4'], mac: gatewayMac }] : [],
    securityGroups: [
      { name: group, rules: ['ingress', 'egress'].map((direction) => ({ direction, ...udp })) },
    ],
    ports: [left, right].map(({ container, ip, network }) => ({
      ...{ name: container.ns, network, mac: container.mac, ips: [ip], mode },
      ...{ host: container.host, device: container.port, securityGroups: [group] },
    })),
  };
}
