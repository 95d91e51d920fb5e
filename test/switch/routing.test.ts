// switch/routing.test.ts — what a router does to packets, byte for byte, and who it answers.

import { afterEach, describe, expect, test } from 'vitest';
import { routerMacOf } from '../../src/model/router-mac.ts';
import { ipBytes, pseudoHeader, sum16 } from '../support/bytes.ts';
import { Judge } from '../support/judge.ts';
import { type ModelOptions, ModelSwitch, type Sent, uplink } from '../support/model-switch.ts';
import { eth, expectPacket, type Packet } from '../support/packet.ts';
import { firstLack } from '../support/requires.ts';
import { onTheWire } from '../support/wire.ts';

const judge = new Judge();
const open: ModelSwitch[] = [];

afterEach(async () => {
  for (const one of open.splice(0)) await one.end();
});

const mac = (last: number) => `02:00:00:00:00:${last.toString(16).padStart(2, '0')}`;
const gateway = routerMacOf({ name: 'r1' });

/** c1 and c3 in blue, d1 in green beside them; c2 and d2 likewise on h2; far has no port here. */
const yaml = (more = '') => `
hosts:
  - { name: h1, tunnelIp: 172.31.1.1 }
  - { name: h2, tunnelIp: 172.31.1.2 }
networks:
  - { name: blue, vni: 100 }
  - { name: green, vni: 200, encap: geneve, mtu: 1400 }
subnets:
  - { name: blue4, network: blue, cidr: 10.0.1.0/24, gateway: 10.0.1.254 }
  - { name: blue6, network: blue, cidr: "fd00:1::/64", gateway: "fd00:1::fe",
      ipv6RaMode: slaac }
  - { name: green4, network: green, cidr: 10.0.2.0/24, gateway: 10.0.2.254 }
  - { name: green6, network: green, cidr: "fd00:2::/64", gateway: "fd00:2::fe" }
routers:
  - name: r1
    subnets: [blue4, blue6, green4, green6]
    routes:
      - { destination: 192.0.2.0/24, nextHops: [10.0.2.1, 10.0.2.2] }
      - { destination: 198.51.100.0/24, nextHops: [10.0.2.99] }
${more}
ports:
  - { name: c1, network: blue, mac: "${mac(1)}", ips: [10.0.1.1, "fd00:1::1"],
      host: h1, device: c1, portSecurity: false }
  - { name: c2, network: blue, mac: "${mac(2)}", ips: [10.0.1.2, "fd00:1::2"],
      host: h2, device: c2 }
  - { name: d1, network: green, mac: "${mac(0x11)}", ips: [10.0.2.1, "fd00:2::1"],
      host: h1, device: d1 }
  - { name: d2, network: green, mac: "${mac(0x12)}", ips: [10.0.2.2, "fd00:2::2"],
      host: h2, device: d2 }
`;

function model(options: ModelOptions = {}): ModelSwitch {
  const one = new ModelSwitch(yaml(), options);
  open.push(one);
  return one;
}

/** A frame that leaves by one device alone, judged by others. */
function only(sent: readonly Sent[], port: string): Uint8Array {
  expect(sent.map((one) => one.port)).toEqual([port]);
  return judge.keep(sent)[0]!;
}

const toGateway = eth({ src: mac(1), dst: gateway });
const four = (dst: string, ttl = 64) => toGateway.ip({ src: '10.0.1.1', dst, ttl });
const six = (dst: string, hopLimit = 64) => toGateway.ip6({ src: 'fd00:1::1', dst, hopLimit });
const udp = (from: Packet, dst = 5300) => from.udp({ src: 4000, dst }).payload(20);

describe('between subnets', () => {
  test('MACs are the router’s and the receiver’s, and the TTL is one less', () => {
    const one = model();
    const routed = eth({ src: gateway, dst: mac(0x11) });
    for (let time = 1; time <= 2; time += 1) {
      const sent4 = one.send('c1', udp(four('10.0.2.1')).build());
      const want4 = udp(routed.ip({ src: '10.0.1.1', dst: '10.0.2.1', ttl: 63 }));
      expectPacket(only(sent4, 'd1'), want4);
      const sent6 = one.send('c1', udp(six('fd00:2::1')).build());
      const want6 = udp(routed.ip6({ src: 'fd00:1::1', dst: 'fd00:2::1', hopLimit: 63 }));
      expectPacket(only(sent6, 'd1'), want6);
    }
    expect(one.port('c1').upcalls).toBe(2);
    expect(one.drops()).toEqual({});
  });

  test('the tunnel is that of the receiver’s network and host', () => {
    const one = model();
    const frame = only(one.send('c1', udp(four('10.0.2.2')).build()), uplink);
    expect(Buffer.from(frame).readUInt16BE(36)).toBe(6081);
    expect(Buffer.from(frame).readUInt32BE(46) >>> 8).toBe(200);
    const h2 = model({ host: 'h2' });
    const want = eth({ src: gateway, dst: mac(0x12) }).ip({
      ...{ src: '10.0.1.1', dst: '10.0.2.2', ttl: 63 },
    });
    expectPacket(only(h2.send(uplink, frame), 'd2'), udp(want));
  });
});

describe('errors come from the gateway that the sender knows', () => {
  const dropped = (frame: Uint8Array) => frame.subarray(14);
  const back = eth({ src: gateway, dst: mac(1) });
  const error4 = (type: number, code: number, quote: Uint8Array) =>
    back
      .ip({ src: '10.0.1.254', dst: '10.0.1.1', tos: 0xc0, df: true })
      .icmp({ type, code })
      .raw(quote);
  const error6 = (type: number, code: number, quote: Uint8Array) =>
    back.ip6({ src: 'fd00:1::fe', dst: 'fd00:1::1' }).icmp6({ type, code }).raw(quote);

  test.each([
    ['a TTL that runs out', '10.0.2.1', 1, [11, 0], 'ttl_exceeded'],
    ['no route', '203.0.113.1', 64, [3, 0], 'no_route'],
    ['an address that nobody has', '10.0.2.77', 64, [3, 1], 'host_unreachable'],
    ['a route to nobody', '198.51.100.1', 64, [3, 1], 'host_unreachable'],
  ] as const)('%s, IPv4', (_, dst, ttl, [type, code], reason) => {
    const one = model();
    const frame = udp(four(dst, ttl)).build();
    expectPacket(only(one.send('c1', frame), 'c1'), error4(type, code, dropped(frame)));
    expect(one.drops()).toEqual({ [reason]: 1 });
  });

  test.each([
    ['a hop limit that runs out', 'fd00:2::1', 1, [3, 0], 'ttl_exceeded'],
    ['no route', '2001:db8::1', 64, [1, 0], 'no_route'],
    ['an address that nobody has', 'fd00:2::77', 64, [1, 3], 'host_unreachable'],
  ] as const)('%s, IPv6', (_, dst, hopLimit, [type, code], reason) => {
    const one = model();
    const frame = udp(six(dst, hopLimit)).build();
    expectPacket(only(one.send('c1', frame), 'c1'), error6(type, code, dropped(frame)));
    expect(one.drops()).toEqual({ [reason]: 1 });
  });

  test('a packet too big for the network that it goes to', () => {
    const one = model();
    const frame = toGateway
      .ip({ src: '10.0.1.1', dst: '10.0.2.1', df: true })
      .udp({ src: 4000, dst: 5300 })
      .payload(1400)
      .build();
    const answer = only(one.send('c1', frame), 'c1');
    expect([...answer.subarray(26, 30)]).toEqual([10, 0, 1, 254]);
    expect([...answer.subarray(34, 36)]).toEqual([3, 4]);
    expect(Buffer.from(answer).readUInt16BE(40)).toBe(1400);
    expect(one.drops()).toEqual({ mtu_exceeded: 1 });
  });

  test('are drops that vtepctl why names and that are counted by rule', async () => {
    const one = model();
    const frame = udp(four('203.0.113.1', 64)).build();
    for (const _ of [1, 2, 3]) expect(one.fate('c1', frame)).toBe('c1 no_route');
    const { flows, drops } = one.slowPath;
    const slots = Array.from({ length: flows.highest }, (_, at) => at + 1);
    const slot = slots.find((at) => flows.isLinked(at) && drops.reasonAt(at) !== 0);
    const [why] = await one.why(`${slot}`);
    expect(why).toMatchObject({ drop: 'no_route', decidedBy: 'route/r1/none', agrees: true });
    const rules = drops.counts().filter(({ packets }) => packets > 0);
    expect(rules).toMatchObject([{ packets: 3, rule: 'route/r1/none' }]);
  });

  test('is never sent about an error', () => {
    const one = model();
    const about = four('203.0.113.1').icmp({ type: 3, code: 3 }).raw(new Uint8Array(28));
    expect(one.fate('c1', about.build())).toBe('no_route');
  });
});

describe('a gateway', () => {
  const turned = eth({ src: gateway, dst: mac(1) });

  test('answers pings to its addresses on every side', () => {
    const one = model();
    for (const address of ['10.0.1.254', '10.0.2.254']) {
      const sent = one.send('c1', four(address, 5).echo({ id: 7, seq: 9 }).build());
      const want = turned.ip({ src: address, dst: '10.0.1.1', ttl: 64 });
      expectPacket(only(sent, 'c1'), want.echo({ id: 7, seq: 9, reply: true }));
    }
    const linkLocal = 'fe80::c21:48ff:fe86:76c5';
    for (const address of ['fd00:1::fe', 'fd00:2::fe', linkLocal]) {
      const sent = one.send('c1', six(address, 5).echo6({ id: 7 }).build());
      const want = turned.ip6({ src: address, dst: 'fd00:1::1', hopLimit: 64 });
      expectPacket(only(sent, 'c1'), want.echo6({ id: 7, reply: true }));
    }
    expect(one.drops()).toEqual({});
  });

  test('turns later fragments of a ping around with the first', () => {
    const one = model();
    const place = { src: '10.0.1.1', dst: '10.0.1.254', ttl: 64 };
    const later = toGateway.ip({ ...place, fragmentOffset: 1480, protocol: 1 }).payload(100);
    const want = turned
      .ip({ src: '10.0.1.254', dst: '10.0.1.1', ttl: 64, fragmentOffset: 1480, protocol: 1 })
      .payload(100);
    expectPacket(only(one.send('c1', later.build()), 'c1'), want);
  });

  test('offers nothing else: UDP is told so, TCP is reset, the rest ends', () => {
    const one = model();
    const tcp = four('10.0.1.254').tcp({ src: 4000, dst: 22, flags: 'S' });
    expect(one.fate('c1', udp(four('10.0.1.254')).build())).toBe('c1 router_itself');
    expect(one.fate('c1', tcp.build())).toBe('c1 router_itself');
    expect(one.fate('c1', four('10.0.1.254').sctp().build())).toBe('router_itself');
    expect(one.fate('c1', four('10.0.1.254').echo({ reply: true }).build())).toBe('router_itself');
  });

  test('advertises its prefixes to those who ask, with or without an address', () => {
    const one = model();
    for (const src of ['fe80::ff:fe00:1', '::']) {
      const asked = eth({ src: mac(1), dst: '33:33:00:00:00:02' })
        .ip6({ src, dst: 'ff02::2', hopLimit: 255 })
        .icmp6({ type: 133 });
      const answer = Buffer.from(only(one.send('c1', asked.build()), 'c1'));
      const nobody = src === '::';
      expect(answer.subarray(0, 6).toString('hex')).toBe(nobody ? '333300000001' : '020000000001');
      expect(answer.subarray(6, 12)).toEqual(Buffer.from(gateway.replaceAll(':', ''), 'hex'));
      // Type, code; hop limit, flags, lifetime; link-layer address, MTU, prefix.
      expect(answer.subarray(54, 56).toString('hex')).toBe('8600');
      expect(answer.subarray(58, 62).toString('hex')).toBe('40000708');
      expect(answer.subarray(70, 78).toString('hex')).toBe(`0101${gateway.replaceAll(':', '')}`);
      expect(answer.subarray(78, 86).toString('hex')).toBe('05010000000005aa');
      expect(answer.subarray(86, 118).toString('hex')).toBe(
        `030440c0ffffffffffffffff00000000fd000001${'0'.repeat(24)}`,
      );
      expect(answer.length).toBe(118);
    }
  });
});

test('who asks for an advertised gateway is told of the router again', () => {
  const one = model();
  const solicit = eth({ src: mac(1), dst: gateway })
    .ip6({ src: 'fd00:1::1', dst: 'fd00:1::fe', hopLimit: 255 })
    .neighborSolicit({ target: 'fd00:1::fe', mac: mac(1) });
  for (let time = 1; time <= 2; time += 1) {
    const sent = one.send('c1', solicit.build());
    expect(sent.map(({ port }) => port)).toEqual(['c1', 'c1']);
    const [neighbour, router] = judge.keep(sent);
    const answer = eth({ src: gateway, dst: mac(1) })
      .ip6({ src: 'fd00:1::fe', dst: 'fd00:1::1', hopLimit: 255 })
      .neighborAdvert({ target: 'fd00:1::fe', mac: gateway, flags: 'RSO' });
    expectPacket(neighbour, answer);
    expect([...router!.subarray(0, 6)]).toEqual([...neighbour!.subarray(0, 6)]);
    expect([...router!.subarray(38, 54)]).toEqual([...neighbour!.subarray(38, 54)]);
    expect(router![54]).toBe(134);
    expect(router!.length).toBe(118);
  }
  expect(one.drops()).toEqual({});
});

describe('firewalls of routed packets', () => {
  const groups = `
securityGroups:
  - name: open
    rules:
      - { direction: egress }
      - { direction: ingress, protocol: udp, ports: 5300, remote: 10.0.1.0/24 }
`;
  const guarded = yaml(groups)
    .replaceAll('host: h1, device: d1', 'host: h1, device: d1, securityGroups: [open]')
    .replaceAll('host: h2, device: d2', 'host: h2, device: d2, securityGroups: [open]');
  const closed = (host = 'h1') => {
    const one = new ModelSwitch(guarded, { host });
    open.push(one);
    return one;
  };
  const reply = eth({ src: mac(0x11), dst: gateway })
    .ip({ src: '10.0.2.1', dst: '10.0.1.1' })
    .udp({ src: 5300, dst: 4000 })
    .payload(20);

  test('the receiver’s holds on this host, and its answers come back', () => {
    const one = closed();
    expect(one.fate('c1', udp(four('10.0.2.1'), 5301).build())).toBe('acl_deny');
    expect(one.fate('c1', udp(four('10.0.2.1')).build())).toBe('d1');
    expect(one.fate('d1', reply.build())).toBe('c1');
  });

  test('what the receiver’s denies is its last drop, though a gateway was addressed', async () => {
    const one = closed();
    expect(one.fate('c1', udp(four('10.0.2.1'), 5301).build())).toBe('acl_deny');
    for (const port of ['c1', 'd1']) {
      const [why] = await one.why(`last-drop ${port}`);
      expect(why).toMatchObject({ drop: 'acl_deny', path: 'ports[d1].securityGroups' });
    }
  });

  test('the receiver’s holds on its own host, and connections are followed across', () => {
    const [h1, h2] = [closed(), closed('h2')];
    const [denied] = h1.send('c1', udp(four('10.0.2.2'), 5301).build());
    expect(h2.fate(uplink, denied!.frame)).toBe('acl_deny');
    const [asked] = h1.send('c1', udp(four('10.0.2.2')).build());
    expect(h2.fate(uplink, asked!.frame)).toBe('d2');
    const answer = eth({ src: mac(0x12), dst: gateway })
      .ip({ src: '10.0.2.2', dst: '10.0.1.1' })
      .udp({ src: 5300, dst: 4000 })
      .payload(20);
    const [answered] = h2.send('d2', answer.build());
    expect(h1.fate(uplink, answered!.frame)).toBe('c1');
  });

  test('what the receiver’s host refuses is told to the sender, by the way back', () => {
    const acl = 'name: no, priority: 1, action: reject, direction: ingress, protocol: udp';
    const acls = `acls: [{ ${acl} }]`;
    const [h1, h2] = ['h1', 'h2'].map((host) => new ModelSwitch(yaml(acls), { host }));
    open.push(h1!, h2!);
    const [asked] = h1!.send('c1', udp(four('10.0.2.2')).build());
    const refused = h2!.send(uplink, asked!.frame);
    expect(refused.map(({ port }) => port)).toEqual([uplink]);
    const told = only(h1!.send(uplink, refused[0]!.frame), 'c1');
    expect([...told.subarray(34, 36)]).toEqual([3, 3]);
  });
});

describe('what surrounds a router', () => {
  const changed = (text: string, from: string, to: string) => {
    expect(text).toContain(from);
    return text.replace(from, to);
  };
  const serve = (text: string, options: ModelOptions = {}) => {
    const one = new ModelSwitch(text, options);
    open.push(one);
    return one;
  };

  test('packets follow a receiver to another host, and a route to another next hop', () => {
    const one = model();
    const asked = udp(four('10.0.2.1')).build();
    expect(one.fate('c1', asked)).toBe('d1');
    const moved = changed(yaml(), 'host: h1, device: d1', 'host: h2, device: d1');
    one.apply(moved);
    expect(one.fate('c1', asked)).toBe(uplink);
    const world = udp(four('192.0.2.1')).build();
    one.apply(changed(yaml(), 'nextHops: [10.0.2.1, 10.0.2.2]', 'nextHops: [10.0.2.2]'));
    expect(one.fate('c1', world)).toBe(uplink);
    one.apply(changed(yaml(), 'nextHops: [10.0.2.1, 10.0.2.2]', 'nextHops: [10.0.2.1]'));
    expect(one.fate('c1', world)).toBe('d1');
    expect(one.fate('c1', asked)).toBe('d1');
  });

  test('without the router, its MAC is nobody’s and its networks are apart', () => {
    const one = model();
    expect(one.fate('c1', udp(four('10.0.2.1')).build())).toBe('d1');
    const text = yaml();
    const end = text.indexOf('ports:');
    one.apply(text.slice(0, text.indexOf('routers:')) + text.slice(end));
    expect(one.fate('c1', udp(four('10.0.2.1')).build())).toBe('unknown_mac');
  });

  test('the VLANs of one trunk are routed to each other, by the same device', () => {
    const trunk = changed(yaml(), 'device: c1,', 'device: t1, vlan: 10,');
    const one = serve(changed(trunk, 'device: d1 }', 'device: t1, vlan: 20 }'));
    const tagged = eth({ src: mac(1), dst: gateway }).vlan(10);
    const sent = one.send('t1', udp(tagged.ip({ src: '10.0.1.1', dst: '10.0.2.1' })).build());
    const want = eth({ src: gateway, dst: mac(0x11) }).vlan(20);
    expectPacket(only(sent, 't1'), udp(want.ip({ src: '10.0.1.1', dst: '10.0.2.1', ttl: 63 })));
    const lost = udp(tagged.ip({ src: '10.0.1.1', dst: '10.0.2.1', ttl: 1 })).build();
    const told = only(one.send('t1', lost), 't1');
    expect([...told.subarray(12, 16)]).toEqual([0x81, 0, 0, 10]);
    expect([...told.subarray(38, 40)]).toEqual([11, 0]);
  });

  test('a network that learns does not learn the router’s MAC', () => {
    const text = changed(yaml(), 'vni: 200, encap: geneve', 'vni: 200, learning: true');
    const [h1, h2] = [serve(text), serve(text, { host: 'h2' })];
    const [routed] = h1.send('c1', udp(four('10.0.2.2')).build());
    expect(h2.fate(uplink, routed!.frame)).toBe('d2');
    const known = [...h2.slowPath.learning.entries()].map((entry) => entry.mac);
    expect(known).not.toContain(gateway);
    const back = eth({ src: mac(0x12), dst: gateway });
    expect(h2.fate('d2', udp(back.ip({ src: '10.0.2.2', dst: '10.0.1.1' })).build())).toBe(uplink);
  });

  test('a superpacket is routed whole, and its segments are right', () => {
    const one = model();
    const place = { src: '10.0.1.1', dst: '10.0.2.1', df: true, id: 9 };
    const pseudo = pseudoHeader(ipBytes(place.src), ipBytes(place.dst), 6, 4020);
    const carried = (start: Packet) =>
      start
        .tcp({ src: 9, dst: 80, flags: 'A', checksum: sum16(pseudo) })
        .payload(4000)
        .build();
    const offload = {
      needsChecksum: true,
      checksumStart: 34,
      checksumOffset: 16,
      gsoType: 1,
      gsoSize: 1348,
    };
    const sent = one.send('c1', carried(toGateway.ip(place)), offload);
    expect(sent.map(({ port }) => port)).toEqual(['d1']);
    const routed = eth({ src: gateway, dst: mac(0x11) }).ip({ ...place, ttl: 63 });
    const wanted = onTheWire([{ frame: carried(routed), offload }]);
    const frames = judge.keep(sent);
    expect(frames).toHaveLength(3);
    for (const [at, frame] of frames.entries()) expectPacket(frame, wanted[at]!);
  });
});

test('spoofed packets are not routed, and a router’s MAC is nobody’s', () => {
  const one = model();
  const from = eth({ src: mac(0x11), dst: gateway });
  const stranger = from.ip({ src: '10.0.1.1', dst: '10.0.1.1' });
  expect(one.fate('d1', udp(stranger).build())).toBe('spoofed_ip');
  const router = eth({ src: gateway, dst: mac(1) }).ip({ src: '10.0.2.1', dst: '10.0.1.1' });
  expect(one.fate('d1', udp(router).build())).toBe('spoofed_mac');
});

test.skipIf(firstLack(['command:tshark']))('tshark finds no fault in what was sent', async () => {
  expect(judge.count).toBeGreaterThan(20);
  await judge.tshark();
});

test.skipIf(firstLack(['command:python3']))('scapy reads what was sent as we do', async () => {
  await judge.scapy();
});
