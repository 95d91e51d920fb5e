// support/two-containers.ts — the document behind fixtures/pcap: c1 on h1 and c2 on h2, VNI 100.

export interface TwoContainers {
  readonly encap?: 'vxlan' | 'geneve';
  readonly underlay?: 'ipv4' | 'ipv6';
  readonly mtu?: number;
}

export const addresses = {
  ipv4: ['172.31.1.1', '172.31.1.2'],
  ipv6: ['fd00:31::1', 'fd00:31::2'],
} as const;

/** The document as YAML. */
export function twoContainers(options: TwoContainers = {}): string {
  const { encap = 'vxlan', underlay = 'ipv4', mtu = 1450 } = options;
  const [one, two] = addresses[underlay];
  return `
hosts:
  - { name: h1, tunnelIp: "${one}" }
  - { name: h2, tunnelIp: "${two}" }
networks: [{ name: blue, vni: 100, encap: ${encap}, mtu: ${mtu} }]
subnets:
  - { name: blue4, network: blue, cidr: 10.0.0.0/24, gateway: 10.0.0.254 }
  - { name: blue6, network: blue, cidr: "fd00:10::/64", gateway: "fd00:10::fe" }
ports:
  - { name: c1, network: blue, mac: "02:00:00:00:00:01", ips: [10.0.0.1, "fd00:10::1"],
      host: h1, device: p1 }
  - { name: c2, network: blue, mac: "02:00:00:00:00:02", ips: [10.0.0.2, "fd00:10::2"],
      host: h2, device: p2 }
`;
}
