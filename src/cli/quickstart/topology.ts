// cli/quickstart/topology.ts — the quickstart's world: two hosts, two tenants, the same addresses.
//
//   blue1 10.0.0.1 ─┐                                     ┌─ blue2 10.0.0.2
//                   ├─ h1 172.31.1.1 ═══ underlay ═══ 172.31.1.2 h2 ─┤
//   red1  10.0.0.1 ─┘                                     └─ red2  10.0.0.2

import type { Lab } from './lab.ts';

export interface Choice {
  readonly encap: 'vxlan' | 'geneve';
  readonly underlay: 'ipv4' | 'ipv6';
}

export interface Container {
  readonly name: string;
  readonly tenant: 'blue' | 'red';
  readonly host: 'h1' | 'h2';
  readonly mac: string;
  readonly address: string;
}

export const hosts = ['h1', 'h2'] as const;
export type HostName = (typeof hosts)[number];

export const containers: readonly Container[] = [
  { name: 'blue1', tenant: 'blue', host: 'h1', mac: '02:00:00:00:01:01', address: '10.0.0.1' },
  { name: 'blue2', tenant: 'blue', host: 'h2', mac: '02:00:00:00:01:02', address: '10.0.0.2' },
  { name: 'red1', tenant: 'red', host: 'h1', mac: '02:00:00:00:02:01', address: '10.0.0.1' },
  { name: 'red2', tenant: 'red', host: 'h2', mac: '02:00:00:00:02:02', address: '10.0.0.2' },
];

/** L3 bytes of the underlay, as of a network whose operator made room for tunnels. */
const underlayMtu = 1600;
const overlayMtu = 1500;

export function tunnelIp(host: HostName, { underlay }: Choice): string {
  const number = hosts.indexOf(host) + 1;
  return underlay === 'ipv6' ? `fd00:31::${number}` : `172.31.1.${number}`;
}

/** Makes namespaces, the underlay's cable and each container's veth pair; offloads untouched. */
export function build(lab: Lab, choice: Choice): void {
  for (const host of hosts) lab.namespace(host);
  lab.veth(['h1', 'underlay'], ['h2', 'underlay']);
  for (const host of hosts) {
    const prefix = choice.underlay === 'ipv6' ? 64 : 24;
    const nodad = choice.underlay === 'ipv6' ? ['nodad'] : [];
    lab.ip(host, 'link', 'set', 'underlay', 'mtu', String(underlayMtu));
    lab.ip(host, 'addr', 'add', `${tunnelIp(host, choice)}/${prefix}`, 'dev', 'underlay', ...nodad);
  }
  for (const { name, host, mac, address } of containers) {
    lab.namespace(name);
    lab.veth([name, 'eth0'], [host, name]);
    lab.ip(name, 'link', 'set', 'eth0', 'address', mac, 'mtu', String(overlayMtu));
    lab.ip(name, 'addr', 'add', `${address}/24`, 'dev', 'eth0');
  }
}

/** The desired state, the same text for both hosts. */
export function documentText(choice: Choice): string {
  const lines = ['hosts:'];
  for (const host of hosts) {
    lines.push(`  - { name: ${host}, tunnelIp: "${tunnelIp(host, choice)}" }`);
  }
  lines.push('networks:');
  for (const [name, vni] of [
    ['blue', 100],
    ['red', 200],
  ]) {
    lines.push(`  - { name: ${name}, vni: ${vni}, encap: ${choice.encap}, mtu: ${overlayMtu} }`);
  }
  lines.push('subnets:');
  for (const tenant of ['blue', 'red']) {
    lines.push(`  - { name: ${tenant}4, network: ${tenant}, cidr: 10.0.0.0/24 }`);
  }
  lines.push('ports:');
  for (const { name, tenant, host, mac, address } of containers) {
    lines.push(
      `  - { name: ${name}, network: ${tenant}, mac: "${mac}", ips: [${address}],`,
      `      host: ${host}, device: ${name} }`,
    );
  }
  return `${lines.join('\n')}\n`;
}

/** The daemon's own file for one host. */
export function configText(host: HostName, directory: string): string {
  return [
    `host: ${host}`,
    `control: { socket: ${directory}/${host}.sock }`,
    `datapath: { socket: ${directory}/${host}-datapath.sock }`,
    `state: ${directory}/${host}-state`,
    '',
  ].join('\n');
}
