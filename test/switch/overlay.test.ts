// switch/overlay.test.ts — what a tenant sees: proxies, port security, trunks, learning.
//
// Given, input, output: each packet's fate in a switch with a document, the frames byte for byte
// where they are made or changed, and the megaflows and counters where they carry the point.

import { afterEach, describe, expect, test } from 'vitest';
import { Judge } from '../support/judge.ts';
import { type ModelOptions, ModelSwitch, uplink } from '../support/model-switch.ts';
import { eth, expectPacket, type Packet } from '../support/packet.ts';
import { firstLack } from '../support/requires.ts';

const judge = new Judge();
const open: ModelSwitch[] = [];

afterEach(async () => {
  for (const one of open.splice(0)) await one.end();
});

const hosts = `
hosts:
  - { name: h1, tunnelIp: 172.31.1.1 }
  - { name: h2, tunnelIp: 172.31.1.2 }
  - { name: gw, tunnelIp: 172.31.1.9, kind: peer, networks: [lab] }
`;

function model(yaml: string, options: ModelOptions = {}): ModelSwitch {
  const one = new ModelSwitch(`${hosts}${yaml}`, options);
  open.push(one);
  return one;
}

const broadcast = 'ff:ff:ff:ff:ff:ff';
const mac = (last: number) => `02:00:00:00:00:${last.toString(16).padStart(2, '0')}`;

/** c1 and c3 on this host, c2 on h2; nothing learned. */
const plain = `
networks: [{ name: lab, vni: 77 }, { name: blue, vni: 100 }]
ports:
  - { name: c1, network: blue, mac: "${mac(1)}", ips: [10.0.0.1, "fd00:10::1"],
      host: h1, device: c1 }
  - { name: c2, network: blue, mac: "${mac(2)}", ips: [10.0.0.2, "fd00:10::2"],
      host: h2, device: c2 }
  - { name: c3, network: blue, mac: "${mac(3)}", ips: [10.0.0.3, "fd00:10::3"],
      host: h1, device: c3 }
`;

const fromC1 = (dst: string) => eth({ src: mac(1), dst });

describe('ARP and ND proxy', () => {
  const request = (targetIp: string, senderIp = '10.0.0.1') =>
    fromC1(broadcast).arp({ senderMac: mac(1), senderIp, targetIp });

  test.each([
    ['10.0.0.2', mac(2), 'on another host'],
    ['10.0.0.3', mac(3), 'on this host'],
  ])('answers for %s (%s, %s), the second time without the slow path', (ip, owner) => {
    const one = model(plain);
    const answer = eth({ src: owner, dst: mac(1) }).arp({
      op: 'reply',
      senderMac: owner,
      senderIp: ip,
      targetMac: mac(1),
      targetIp: '10.0.0.1',
    });
    for (let time = 1; time <= 2; time += 1) {
      const sent = one.send('c1', request(ip).build());
      expect(sent.map(({ port }) => port)).toEqual(['c1']);
      expectPacket(judge.keep(sent)[0], answer);
      expect(one.port('c1').upcalls).toBe(1);
      expect(one.worker().arp_replies).toBe(time);
    }
    expect(one.flows()).toMatchObject([{ actions: `arp_reply(${owner}),output(c1)`, packets: 2 }]);
    expect(one.port(uplink).tx_packets).toBe(0);
  });

  const solicit = (target: string, source = 'fd00:10::1') =>
    fromC1('33:33:ff:00:00:02')
      .ip6({ src: source, dst: 'ff02::1:ff00:2', hopLimit: 255 })
      .neighborSolicit(source === '::' ? { target } : { target, mac: mac(1) });

  test('answers a neighbour solicitation, the second time without the slow path', () => {
    const one = model(plain);
    const answer = eth({ src: mac(2), dst: mac(1) })
      .ip6({ src: 'fd00:10::2', dst: 'fd00:10::1', hopLimit: 255 })
      .neighborAdvert({ target: 'fd00:10::2', mac: mac(2) });
    for (let time = 1; time <= 2; time += 1) {
      const sent = one.send('c1', solicit('fd00:10::2').build());
      expect(sent.map(({ port }) => port)).toEqual(['c1']);
      expectPacket(judge.keep(sent)[0], answer);
      expect(one.port('c1').upcalls).toBe(1);
    }
    expect(one.flows()).toMatchObject([{ actions: `nd_reply(${mac(2)}),output(c1)` }]);
  });

  test('answers for the link-local address that a MAC stands for', () => {
    const one = model(plain);
    const [answer] = one.send('c1', solicit('fe80::ff:fe00:2').build());
    expect(answer?.port).toBe('c1');
    const made = eth({ src: mac(2), dst: mac(1) })
      .ip6({ src: 'fe80::ff:fe00:2', dst: 'fd00:10::1', hopLimit: 255 })
      .neighborAdvert({ target: 'fe80::ff:fe00:2', mac: mac(2) });
    expectPacket(judge.keep([answer!])[0], made);
  });

  test('what nobody has is dropped by name; what the asker has is flooded', () => {
    const one = model(plain);
    expect(one.fate('c1', request('10.0.0.77').build())).toBe('unknown_neighbour');
    expect(one.fate('c1', solicit('fd00:10::77').build())).toBe('unknown_neighbour');
    expect(one.fate('c1', request('10.0.0.1').build())).toBe('c3 uplink');
    expect(one.fate('c1', request('10.0.0.1', '0.0.0.0').build())).toBe('c3 uplink');
    expect(one.fate('c1', solicit('fd00:10::1', '::').build())).toBe('c3 uplink');
  });

  test('a solicitation without a source address is no question that we can answer', () => {
    const one = model(plain);
    expect(one.fate('c1', solicit('fd00:10::2', '::').build())).toBe('spoofed_ip');
  });

  test('a request out of the tunnel is for the asked port to answer', () => {
    const one = model(plain);
    const asked = eth({ src: mac(2), dst: broadcast }).arp({
      senderMac: mac(2),
      senderIp: '10.0.0.2',
      targetIp: '10.0.0.1',
    });
    const tunnel = eth().ip({ src: '172.31.1.2', dst: '172.31.1.1' }).udp({ dst: 4789 });
    expect(one.fate(uplink, tunnel.vxlan(100).carry(asked).build())).toBe('c1 c3');
  });
});

describe('what a port may send, and to whom', () => {
  const toC2 = fromC1(mac(2));
  const cases: readonly [what: string, frame: Packet, fate: string][] = [
    ['its own addresses', toC2.ip().udp(), 'uplink'],
    ['its own IPv6 address', toC2.ip6().udp(), 'uplink'],
    ['its link-local address', toC2.ip6({ src: 'fe80::ff:fe00:1' }).udp(), 'uplink'],
    ['a tag of VLAN 0, which only says a priority', fromC1(mac(3)).vlan(0).ip().udp(), 'c3'],
    [
      'another MAC',
      eth({ src: mac(7), dst: mac(2) })
        .ip()
        .udp(),
      'spoofed_mac',
    ],
    [
      "a neighbour's MAC",
      eth({ src: mac(3), dst: mac(2) })
        .ip()
        .udp(),
      'spoofed_mac',
    ],
    ['another IPv4 address', toC2.ip({ src: '10.0.0.3' }).udp(), 'spoofed_ip'],
    ['another IPv6 address', toC2.ip6({ src: 'fd00:10::3' }).udp(), 'spoofed_ip'],
    ['no IPv4 address', toC2.ip({ src: '0.0.0.0' }).udp(), 'spoofed_ip'],
    [
      'DHCP without an address',
      fromC1(broadcast).ip({ src: '0.0.0.0', dst: '255.255.255.255' }).udp({ src: 68, dst: 67 }),
      'c3 uplink',
    ],
    [
      'router solicitation without an address',
      fromC1('33:33:00:00:00:02')
        .ip6({ src: '::', dst: 'ff02::2', hopLimit: 255 })
        .icmp6({ type: 133 }),
      'c3 uplink',
    ],
    ['ARP with another address', toC2.arp({ op: 'reply', senderIp: '10.0.0.3' }), 'spoofed_arp'],
    ['ARP with another MAC', toC2.arp({ op: 'reply', senderMac: mac(3) }), 'spoofed_arp'],
    [
      'an advertisement of an address that is not its own',
      toC2.ip6({ hopLimit: 255 }).neighborAdvert({ target: 'fd00:10::3', mac: mac(1) }),
      'spoofed_arp',
    ],
    [
      'an advertisement with a MAC that is not its own',
      toC2.ip6({ hopLimit: 255 }).neighborAdvert({ target: 'fd00:10::1', mac: mac(3) }),
      'spoofed_arp',
    ],
    [
      'a solicitation with a MAC that is not its own',
      toC2.ip6({ hopLimit: 255 }).neighborSolicit({ target: 'fd00:10::2', mac: mac(3) }),
      'spoofed_arp',
    ],
    ['a MAC that nobody has', fromC1(mac(0x77)).ip().udp(), 'unknown_mac'],
    ['itself', fromC1(mac(1)).ip().udp(), 'same_port'],
    ['LLDP', fromC1('01:80:c2:00:00:0e').ip().udp(), 'reserved_mac'],
    [
      'a group MAC as source',
      eth({ src: '01:00:5e:00:00:01', dst: mac(2) }).ip(),
      'bad_source_mac',
    ],
    ['a zero MAC as source', eth({ src: '00:00:00:00:00:00' }).ip().udp(), 'bad_source_mac'],
    ['a VLAN that is not its own', toC2.vlan(10).ip().udp(), 'unknown_port'],
    ['two tags', toC2.serviceVlan(3).vlan(10).ip().udp(), 'unknown_port'],
    ['three tags', toC2.serviceVlan(1).vlan(2).vlan(3).ip().udp(), 'bad_vlan'],
    ['cut ARP', eth({ src: mac(1), dst: mac(2), type: 0x0806 }).payload(20), 'bad_arp'],
    [
      'hop-by-hop options that are not first',
      toC2.ip6().extension({ type: 60 }).extension({ type: 0 }).udp(),
      'bad_ipv6_extension',
    ],
  ];

  test.each(cases)('%s', (_what, frame, fate) => {
    const one = model(plain);
    expect(one.fate('c1', frame.build())).toBe(fate);
    expect(one.fate('c1', frame.build())).toBe(fate);
    const dropped = fate.includes('_');
    expect(one.drops()).toEqual(dropped ? { [fate]: 2 } : {});
    expect(one.port('c1').drops).toBe(dropped ? 2 : 0);
    expect(one.logged).toEqual([]);
  });

  test('a port without security may send what it likes', () => {
    const one = model(plain.replace('device: c1 }', 'device: c1, portSecurity: false }'));
    for (const frame of [
      eth({ src: mac(7), dst: mac(2) })
        .ip({ src: '9.9.9.9' })
        .udp(),
      eth({ src: mac(7), dst: mac(2) }).arp({ op: 'reply', senderIp: '10.0.0.3' }),
    ]) {
      expect(one.fate('c1', frame.build())).toBe('uplink');
    }
  });

  test('address pairs widen what a port may send, and their MAC is flooded to', () => {
    const pair = 'allowedAddressPairs: [{ ip: 10.0.0.100, mac: "00:00:5e:00:01:01" }]';
    const one = model(plain.replace('device: c1 }', `device: c1, ${pair} }`));
    const vrrp = eth({ src: '00:00:5e:00:01:01', dst: mac(2) });
    expect(one.fate('c1', vrrp.ip({ src: '10.0.0.100' }).udp().build())).toBe('uplink');
    expect(one.fate('c1', vrrp.ip({ src: '10.0.0.1' }).udp().build())).toBe('spoofed_ip');
    const toPair = eth({ src: mac(3), dst: '00:00:5e:00:01:01' })
      .ip({ src: '10.0.0.3' })
      .udp();
    expect(one.fate('c3', toPair.build())).toBe('c1 uplink');
  });
});

/** Two tenants with the same addresses; blue is twice on the trunk t1, once on an access link. */
const trunk = `
networks: [{ name: lab, vni: 77 }, { name: blue, vni: 100 }, { name: red, vni: 200 }]
ports:
  - { name: vm, network: blue, mac: "${mac(1)}", ips: [10.0.0.1], host: h1, device: t1 }
  - { name: vm10, network: blue, mac: "${mac(10)}", ips: [10.0.0.10],
      host: h1, device: t1, vlan: 10 }
  - { name: vm20, network: red, mac: "${mac(10)}", ips: [10.0.0.10],
      host: h1, device: t1, vlan: 20 }
  - { name: vm30, network: blue, mac: "${mac(30)}", ips: [10.0.0.30],
      host: h1, device: t1, vlan: 4094 }
  - { name: b4, network: blue, mac: "${mac(4)}", ips: [10.0.0.4], host: h1, device: b4 }
  - { name: r4, network: red, mac: "${mac(4)}", ips: [10.0.0.4], host: h1, device: r4 }
  - { name: b2, network: blue, mac: "${mac(2)}", ips: [10.0.0.2], host: h2, device: b2 }
`;

describe('trunks', () => {
  const from = (last: number, to: number) => eth({ src: mac(last), dst: mac(to) });
  const ip = (last: number) => ({ src: `10.0.0.${last}` });

  const passed: readonly [what: string, port: string, given: Packet, out: string, made: Packet][] =
    [
      [
        'tag to access link',
        't1',
        from(10, 4).vlan(10).ip(ip(10)).udp(),
        'b4',
        from(10, 4).ip(ip(10)).udp(),
      ],
      [
        'access link to tag',
        'b4',
        from(4, 10).ip(ip(4)).udp(),
        't1',
        from(4, 10).vlan(10).ip(ip(4)).udp(),
      ],
      [
        'the other tenant',
        'r4',
        from(4, 10).ip(ip(4)).udp(),
        't1',
        from(4, 10).vlan(20).ip(ip(4)).udp(),
      ],
      [
        'one tag to another',
        't1',
        from(10, 30).vlan(10).ip(ip(10)).udp(),
        't1',
        from(10, 30).vlan(4094).ip(ip(10)).udp(),
      ],
      [
        'untagged to a tag',
        't1',
        from(1, 10).ip(ip(1)).udp(),
        't1',
        from(1, 10).vlan(10).ip(ip(1)).udp(),
      ],
      [
        'a tag to untagged',
        't1',
        from(10, 1).vlan(10).ip(ip(10)).udp(),
        't1',
        from(10, 1).ip(ip(10)).udp(),
      ],
      [
        'a priority is not kept across the tag',
        't1',
        from(10, 4).vlan({ id: 10, priority: 5 }).ip(ip(10)).udp(),
        'b4',
        from(10, 4).ip(ip(10)).udp(),
      ],
    ];

  test.each(passed)('%s', (_what, port, given, out, made) => {
    const one = model(trunk);
    for (let time = 0; time < 2; time += 1) {
      const sent = one.send(port, given.build());
      expect(sent.map((each) => each.port)).toEqual([out]);
      expectPacket(judge.keep(sent)[0], made);
    }
    expect(one.drops()).toEqual({});
  });

  test('the tag stays behind when a frame enters the tunnel, and is put on where it leaves', () => {
    const one = model(trunk);
    const [wire] = judge.keep(one.send('t1', from(10, 2).vlan(10).ip(ip(10)).udp().build()));
    expectPacket(wire!.slice(50), from(10, 2).ip(ip(10)).udp());
    const tunnel = eth().ip({ src: '172.31.1.2', dst: '172.31.1.1' }).udp({ dst: 4789 }).vxlan(100);
    const sent = one.send(uplink, tunnel.carry(from(2, 30).ip(ip(2)).udp()).build());
    expectPacket(sent[0]?.frame, from(2, 30).vlan(4094).ip(ip(2)).udp());
    expect(one.flows().map(({ actions }) => actions)).toEqual(
      expect.arrayContaining([
        'enforce_mtu(1450),pop_vlan,output_tunnel(h2/vxlan,vni=100)',
        'push_vlan(4094),output(t1)',
      ]),
    );
  });

  test('broadcast reaches each logical port of the network once, the other tenant never', () => {
    const one = model(trunk);
    const frame = (vlan?: number, last = 10) => {
      const start = eth({ src: mac(last), dst: broadcast });
      return (vlan === undefined ? start : start.vlan(vlan)).ip(ip(last)).udp();
    };
    const sent = one.send('t1', frame(10).build());
    expect(sent.map(({ port }) => port).sort()).toEqual(['b4', 't1', 't1', uplink]);
    const back = sent.filter(({ port }) => port === 't1').map(({ frame: bytes }) => bytes);
    back.sort((a, b) => a.length - b.length);
    expectPacket(back[0], frame());
    expectPacket(back[1], frame(4094));
    expectPacket(sent.find(({ port }) => port === 'b4')?.frame, frame());
    judge.keep(sent);
    const red = one.send('t1', frame(20).build());
    expect(red.map(({ port }) => port)).toEqual(['r4']);
    expect(one.drops()).toEqual({});
  });

  test('ARP is answered with the tag it came with', () => {
    const one = model(trunk);
    const asked = eth({ src: mac(10), dst: broadcast })
      .vlan(10)
      .arp({ senderMac: mac(10), senderIp: '10.0.0.10', targetIp: '10.0.0.2' });
    const [answer] = judge.keep(one.send('t1', asked.build()));
    const made = eth({ src: mac(2), dst: mac(10) })
      .vlan(10)
      .arp({
        op: 'reply',
        ...{ senderMac: mac(2), senderIp: '10.0.0.2' },
        ...{ targetMac: mac(10), targetIp: '10.0.0.10' },
      });
    expectPacket(answer, made);
  });

  const refused: readonly [what: string, frame: Packet, fate: string][] = [
    ['a VLAN that nobody has', from(10, 4).vlan(11).ip(ip(10)).udp(), 'unknown_port'],
    ["the other VLAN's MAC", from(10, 4).vlan(4094).ip(ip(10)).udp(), 'spoofed_mac'],
    ['a second tag inside', from(10, 4).vlan(10).vlan(5).ip(ip(10)).udp(), 'unknown_port'],
    ['QinQ', from(10, 4).serviceVlan(10).vlan(20).ip(ip(10)).udp(), 'unknown_port'],
    ['itself', from(10, 10).vlan(10).ip(ip(10)).udp(), 'same_port'],
    ['the other tenant', from(10, 4).vlan(20).ip(ip(4)).udp(), 'spoofed_ip'],
  ];

  test.each(refused)('refuses %s', (_what, frame, fate) => {
    expect(model(trunk).fate('t1', frame.build())).toBe(fate);
  });

  test('4094 VLANs of one device are 4094 ports', () => {
    const port = (vlan: number) => {
      const [high, low] = [vlan >> 8, vlan & 255].map((part) => part.toString(16).padStart(2, '0'));
      const place = `host: h1, device: t1, vlan: ${vlan}`;
      return `  - { name: v${vlan}, network: blue, mac: "02:00:00:01:${high}:${low}", ${place} }`;
    };
    const vlans = Array.from({ length: 4094 }, (_, index) => index + 1);
    const one = model(
      `networks: [{ name: lab, vni: 77 }, { name: blue, vni: 100 }]
ports:
${vlans.map(port).join('\n')}
`,
    );
    const ends = [1, 2, 4093, 4094].map((vlan) => {
      const [high, low] = [vlan >> 8, vlan & 255].map((part) => part.toString(16).padStart(2, '0'));
      return { vlan, mac: `02:00:00:01:${high}:${low}` };
    });
    for (const [index, { vlan, mac: src }] of ends.entries()) {
      const other = ends[(index + 1) % ends.length]!;
      const sent = one.send('t1', eth({ src, dst: other.mac }).vlan(vlan).ip().udp().build());
      expectPacket(sent[0]?.frame, eth({ src, dst: other.mac }).vlan(other.vlan).ip().udp());
    }
  });
});

/** A network that learns: c1 is a bridge with machines behind it, gw a VTEP that is not vtepd. */
const learning = `
networks: [{ name: lab, vni: 100, learning: { limitPerPort: 4, agingSeconds: 5 } }]
ports:
  - { name: c1, network: lab, mac: "${mac(1)}", host: h1, device: c1, portSecurity: false }
  - { name: c3, network: lab, mac: "${mac(3)}", host: h1, device: c3, portSecurity: false }
  - { name: c2, network: lab, mac: "${mac(2)}", host: h2, device: c2 }
`;

describe('learning', () => {
  const learned = (last: number) => `02:00:00:00:99:0${last}`;
  const frame = (src: string, dst: string) => eth({ src, dst }).ip().udp().build();
  const tunnelled = (from: string, src: string, dst: string) =>
    eth()
      .ip({ src: from, dst: '172.31.1.1' })
      .udp({ dst: 4789 })
      .vxlan(100)
      .carry(eth({ src, dst }).ip().udp())
      .build();
  const gw = '172.31.1.9';

  test('floods what it does not know, learns from what it sees, then sends to one place', () => {
    const one = model(learning);
    expect(one.fate('c1', frame(learned(1), learned(2)))).toBe('c3 uplink uplink');
    expect(one.fate('c3', frame(learned(2), learned(1)))).toBe('c1');
    expect(one.fate('c1', frame(learned(1), learned(2)))).toBe('c3');
    expect(one.slowPath.learning.size).toBe(2);
    expect(one.fate(uplink, tunnelled(gw, learned(3), learned(1)))).toBe('c1');
    const sent = one.send('c1', frame(learned(1), learned(3)));
    expect(sent.map(({ port }) => port)).toEqual([uplink]);
    expect(judge.keep(sent)[0]!.subarray(30, 34)).toEqual(Uint8Array.of(172, 31, 1, 9));
    expect(one.drops()).toEqual({});
  });

  test('an address that moves is sent to its new place at once', () => {
    const one = model(learning);
    one.send('c1', frame(learned(1), broadcast));
    expect(one.fate('c3', frame(mac(3), learned(1)))).toBe('c1');
    one.send(uplink, tunnelled(gw, learned(1), broadcast));
    expect(one.fate('c3', frame(mac(3), learned(1)))).toBe(uplink);
    one.send('c1', frame(learned(1), broadcast));
    expect(one.fate('c3', frame(mac(3), learned(1)))).toBe('c1');
    expect(one.slowPath.learning.size).toBe(1);
  });

  test('a port that has learned its limit gets no more, and others still do', () => {
    const one = model(learning);
    for (const last of [1, 2, 3, 4]) {
      expect(one.fate('c1', frame(learned(last), broadcast))).toBe('c3 uplink uplink');
    }
    expect(one.fate('c1', frame(learned(5), broadcast))).toBe('learn_limit');
    expect(one.fate('c1', frame(learned(1), broadcast))).toBe('c3 uplink uplink');
    expect(one.fate('c3', frame(learned(5), broadcast))).toBe('c1 uplink uplink');
  });

  test('what is not heard of for the aging time is flooded to again', () => {
    const one = model(learning);
    one.send('c1', frame(learned(1), broadcast));
    expect(one.fate('c3', frame(mac(3), learned(1)))).toBe('c1');
    one.advance(6_000);
    expect(one.slowPath.learning.size).toBe(0);
    expect(one.fate('c3', frame(mac(3), learned(1)))).toBe('c1 uplink uplink');
  });

  test('the model is not taught otherwise: its addresses come from where it has them', () => {
    const one = model(learning);
    expect(one.fate(uplink, tunnelled(gw, mac(1), broadcast))).toBe('wrong_network_vtep');
    expect(one.fate(uplink, tunnelled(gw, mac(2), broadcast))).toBe('wrong_network_vtep');
    expect(one.fate(uplink, tunnelled('172.31.1.2', mac(2), broadcast))).toBe('c1 c3');
    expect(one.fate('c3', frame(mac(3), mac(2)))).toBe(uplink);
    expect(one.slowPath.learning.size).toBe(0);
  });
});

test.skipIf(firstLack(['command:tshark']))('tshark finds no fault in what was sent', async () => {
  expect(judge.count).toBeGreaterThan(20);
  await judge.tshark();
});

test.skipIf(firstLack(['command:python3']))('scapy reads what was sent as we do', async () => {
  await judge.scapy();
});
