// rules/port-security.test.ts — what a port may say of itself, by table.

import { describe, expect, test } from 'vitest';
import { documentOf, example, TestNetwork } from './network.ts';

const network = new TestNetwork(
  documentOf(`
networks: [{ name: n, vni: 7 }]
ports:
  - name: a
    network: n
    mac: "02:00:00:00:00:0a"
    ips: [10.0.0.1, "fd00::1"]
    host: h1
    device: a
    allowedAddressPairs:
      - { ip: 10.0.0.100, mac: "00:00:5e:00:01:01" }
      - { ip: 192.168.0.0/24 }
  - { name: bare, network: n, mac: "02:00:00:00:00:0b", host: h1, device: bare }
  - name: loose
    network: n
    mac: "02:00:00:00:00:0c"
    ips: [10.0.0.3]
    host: h1
    device: loose
    portSecurity: false
`),
  'h1',
);

const own = 'in_port=a,eth_src=02:00:00:00:00:0a,eth_dst=ff:ff:ff:ff:ff:ff';
const vrrp = 'in_port=a,eth_src=00:00:5e:00:01:01,eth_dst=ff:ff:ff:ff:ff:ff';
const nd = `${own},eth_type=ipv6,ip_proto=icmpv6`;
const linkLocal = 'fe80::ff:fe00:a';
const arp = `${own},eth_type=arp,ip_proto=2`;

describe('passes:', () => {
  test.each([
    ['own IPv4', `${own},eth_type=ip,ip_src=10.0.0.1`],
    ['own IPv6', `${own},eth_type=ipv6,ipv6_src=fd00::1`],
    ['link-local of the own MAC', `${own},eth_type=ipv6,ipv6_src=${linkLocal}`],
    ['pair with its own MAC', `${vrrp},eth_type=ip,ip_src=10.0.0.100`],
    ['pair prefix with the port MAC', `${own},eth_type=ip,ip_src=192.168.0.77`],
    ['DHCP', `${own},eth_type=ip,ip_dst=255.255.255.255,ip_proto=udp,tp_src=68,tp_dst=67`],
    ['ARP reply with own address', `${arp},arp_sha=02:00:00:00:00:0a,ip_src=10.0.0.1`],
    ['ARP probe', `${own},eth_type=arp,ip_proto=1,arp_sha=02:00:00:00:00:0a,ip_dst=10.0.0.1`],
    ['duplicate address detection', `${nd},tp_src=135,nd_target=fd00::1`],
    ['detection of the link-local address', `${nd},tp_src=135,nd_target=${linkLocal}`],
    ['router solicitation from ::', `${nd},tp_src=133`],
    ['MLD report from ::', `${nd},tp_src=143`],
    [
      'advertisement of the own address',
      `${nd},tp_src=136,ipv6_src=fd00::1,nd_target=fd00::1,arp_sha=02:00:00:00:00:0a`,
    ],
    ['advertisement without option', `${nd},tp_src=136,ipv6_src=fd00::1,nd_target=fd00::1`],
    ['neither IP nor ARP', `${own},eth_type=0x88b5`],
  ])('%s', (_, packet) => {
    expect(network.verdict(packet)).toContain('output_group(n/all');
  });

  test('any address of a port whose addresses the model does not know', () => {
    const bare = 'in_port=bare,eth_src=02:00:00:00:00:0b,eth_dst=ff:ff:ff:ff:ff:ff';
    expect(network.verdict(`${bare},eth_type=ip,ip_src=8.8.8.8`)).toContain('n/all');
    expect(network.verdict(`${bare},eth_type=ipv6,ipv6_src=fd00::9`)).toContain('n/all');
  });

  test('anything of a port without port security', () => {
    const loose = 'in_port=loose,eth_src=02:99:00:00:00:01,eth_dst=ff:ff:ff:ff:ff:ff';
    expect(network.verdict(`${loose},eth_type=ip,ip_src=10.0.0.1`)).toContain('n/all');
  });
});

describe('is dropped:', () => {
  test.each([
    [
      'another MAC',
      'in_port=a,eth_src=02:00:00:00:00:0b,eth_type=ip,ip_src=10.0.0.1',
      'spoofed_mac',
    ],
    ['another IPv4', `${own},eth_type=ip,ip_src=10.0.0.2`, 'spoofed_ip'],
    ['another IPv6', `${own},eth_type=ipv6,ipv6_src=fd00::2`, 'spoofed_ip'],
    ['own IPv4 with the pair MAC', `${vrrp},eth_type=ip,ip_src=10.0.0.1`, 'spoofed_ip'],
    ['pair address with the port MAC', `${own},eth_type=ip,ip_src=10.0.0.100`, 'spoofed_ip'],
    ['another link-local', `${own},eth_type=ipv6,ipv6_src=fe80::1`, 'spoofed_ip'],
    ['0.0.0.0 that is not DHCP', `${own},eth_type=ip,ip_proto=udp,tp_dst=53`, 'spoofed_ip'],
    ['DHCP server', `${own},eth_type=ip,ip_proto=udp,tp_src=67,tp_dst=68`, 'spoofed_ip'],
    [':: that is not ND', `${own},eth_type=ipv6,ip_proto=tcp`, 'spoofed_ip'],
    ['detection of a foreign address', `${nd},tp_src=135,nd_target=fd00::2`, 'spoofed_ip'],
    ['ARP sender MAC', `${arp},arp_sha=02:00:00:00:00:0b,ip_src=10.0.0.1`, 'spoofed_arp'],
    ['ARP sender address', `${arp},arp_sha=02:00:00:00:00:0a,ip_src=10.0.0.2`, 'spoofed_arp'],
    [
      'advertisement of a foreign address',
      `${nd},tp_src=136,ipv6_src=fd00::1,nd_target=fd00::2,arp_sha=02:00:00:00:00:0a`,
      'spoofed_arp',
    ],
    [
      'advertisement with a foreign MAC',
      `${nd},tp_src=136,ipv6_src=fd00::1,nd_target=fd00::1,arp_sha=02:00:00:00:00:0b`,
      'spoofed_arp',
    ],
    [
      'solicitation with a foreign MAC',
      `${nd},tp_src=135,ipv6_src=fd00::1,nd_target=fd00::2,arp_sha=02:00:00:00:00:0b`,
      'spoofed_arp',
    ],
    [
      'ARP with a foreign MAC from a port without known addresses',
      'in_port=bare,eth_src=02:00:00:00:00:0b,eth_type=arp,arp_sha=02:00:00:00:00:0a',
      'spoofed_arp',
    ],
  ])('%s', (_, packet, reason) => {
    expect(network.verdict(packet)).toBe(reason);
  });
});

test('IPv4 traffic of a port needs no L4 field in its megaflow', () => {
  const two = new TestNetwork(example('two-hosts.yaml'), 'h1');
  const packet = (proto: string) =>
    `in_port=blue1,eth_src=02:00:00:00:01:01,eth_dst=02:00:00:00:01:02,` +
    `eth_type=ip,ip_src=10.0.0.1,${proto}`;
  for (const proto of [
    'ip_proto=tcp,tp_src=4,tp_dst=80',
    'ip_proto=udp,tp_src=68',
    'ip_proto=icmp',
  ]) {
    expect(two.megaflow(packet(proto))).not.toContain('tp_');
  }
});
