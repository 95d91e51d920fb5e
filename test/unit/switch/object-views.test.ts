// switch/object-views.test.ts — the state of each object on this host, and the reason beside it.

import { describe, expect, it } from 'vitest';
import type { DatapathCounters } from '../../../src/datapath/counters.ts';
import type { NativePort, NativeTunnelStatus } from '../../../src/datapath/native.ts';
import { notInForce } from '../../../src/model/coverage.ts';
import { parseDocument } from '../../../src/model/parse.ts';
import { Numbering } from '../../../src/rules/numbering.ts';
import { type Found, objectViews } from '../../../src/switch/object-views.ts';

const document = parseDocument(`
hosts:
  - { name: h1, tunnelIp: 172.31.1.1 }
  - { name: h2, tunnelIp: 172.31.1.2 }
  - { name: h3, tunnelIp: 172.31.1.3 }
networks: [{ name: blue, vni: 100 }, { name: red, vni: 200 }]
subnets: [{ name: blue4, network: blue, cidr: 10.0.0.0/24, gateway: 10.0.0.254 }]
routers: [{ name: r1, subnets: [blue4] }]
ports:
  - { name: c1, network: blue, mac: "02:00:00:00:00:01", host: h1, device: p1 }
  - { name: c2, network: blue, mac: "02:00:00:00:00:02", host: h2, device: p2 }
`);

const numbering = new Numbering();
numbering.number('devices', 'p1');
numbering.number('devices', 'u1');
numbering.number('tunnels', 'h2/vxlan');

const port: NativePort = {
  number: 1,
  name: 'p1',
  device: 'p1',
  kind: 'auto',
  status: {
    kind: 'af_packet',
    mode: 'af_packet, tcx guard',
    why: 'an access port',
    ifindex: 5,
    mtu: 1500,
    linkUp: true,
    mac: '',
  },
};
const tunnel: NativeTunnelStatus = {
  number: 1,
  encap: 'vxlan',
  local: '172.31.1.1',
  remote: '172.31.1.2',
  udpPort: 4789,
  resolved: true,
  why: '',
  uplinkPort: 2,
  sourceMac: '',
  targetMac: '02:00:00:00:aa:02',
  mtu: 1600,
};
const counters = { port: () => ({ rx_packets: 7 }) } as unknown as DatapathCounters;

function view(kind: Parameters<typeof objectViews>[1], name: string, change: Partial<Found> = {}) {
  const found: Found = {
    host: 'h1',
    document,
    notInForce: [],
    numbering,
    attached: true,
    ports: [port],
    tunnels: [tunnel],
    waiting: [],
    counters,
    ...change,
  };
  return objectViews(found, kind).find((object) => object.name === name);
}

describe('a port', () => {
  it('is active when the data path has it, with what was found', () => {
    expect(view('ports', 'c1')).toMatchObject({
      state: 'active',
      why: '',
      spec: { network: 'blue', device: 'p1' },
      facts: { number: 1, mode: 'af_packet, tcx guard', mtu: 1500, counters: { rx_packets: 7 } },
    });
  });

  it('of another host is elsewhere', () => {
    expect(view('ports', 'c2')).toMatchObject({ state: 'elsewhere', facts: { host: 'h2' } });
  });

  it('waits, with the reason, while its device cannot be had', () => {
    const waiting = [{ device: 'p1', code: 'ERR_DEVICE_NOT_FOUND', why: 'there is no p1' }];
    expect(view('ports', 'c1', { waiting, ports: [] })).toMatchObject({
      state: 'waiting',
      why: 'there is no p1',
    });
    expect(view('ports', 'c1', { ports: [] })).toMatchObject({
      state: 'waiting',
      why: expect.stringContaining('no such port yet'),
    });
  });

  it('whose device is down is in force in part', () => {
    const down = { ...port, status: { ...port.status, linkUp: false } };
    expect(view('ports', 'c1', { ports: [down] })).toMatchObject({
      state: 'partial',
      why: 'the device p1 is down',
    });
  });

  it('waits while there is no data path', () => {
    expect(view('ports', 'c1', { attached: false })).toMatchObject({
      state: 'waiting',
      why: 'the datapath is not attached',
    });
  });
});

describe('a host', () => {
  it('that is this one is active', () => {
    expect(view('hosts', 'h1')).toMatchObject({ state: 'active', facts: { self: true } });
  });

  it('with a tunnel is active, and shows the way', () => {
    expect(view('hosts', 'h2')).toMatchObject({
      state: 'active',
      facts: {
        tunnels: [{ name: 'h2/vxlan', resolved: true, nextHop: '02:00:00:00:aa:02', uplink: 'u1' }],
      },
    });
  });

  it('waits while its tunnel knows no way', () => {
    const tunnels = [{ ...tunnel, resolved: false, why: 'no route to 172.31.1.2' }];
    expect(view('hosts', 'h2', { tunnels })).toMatchObject({
      state: 'waiting',
      why: 'no route to 172.31.1.2',
    });
  });

  it('that shares no network with this one is elsewhere', () => {
    expect(view('hosts', 'h3')).toMatchObject({ state: 'elsewhere' });
  });
});

describe('other objects', () => {
  it('networks are active where they have ports', () => {
    expect(view('networks', 'blue')).toMatchObject({ state: 'active', facts: { ports: 1 } });
    expect(view('networks', 'red')).toMatchObject({ state: 'elsewhere' });
  });

  it('routers are active where they have a port to serve, and tell their MAC', () => {
    const facts = { mac: '0e:21:48:86:76:c5' };
    expect(view('routers', 'r1')).toMatchObject({ state: 'active', facts });
    expect(view('routers', 'r1', { host: 'h3' })).toMatchObject({ state: 'elsewhere', facts });
  });

  it('are partial with the reason where nothing brings them into force', () => {
    const gaps = notInForce(document);
    expect(gaps.length).toBeGreaterThan(0);
    for (const { kind, name, message } of gaps) {
      const object = view(kind, name, { notInForce: gaps });
      if (object?.state === 'elsewhere') continue;
      expect(object).toMatchObject({ state: 'partial', why: expect.stringContaining(message) });
    }
  });

  it('come in the order of the document, with its fields', () => {
    expect(view('subnets', 'blue4')).toMatchObject({
      kind: 'subnets',
      state: 'active',
      spec: { cidr: '10.0.0.0/24' },
    });
  });
});

it('a port behind a peer is told of here, since no vtepd is there to tell', () => {
  const behind = parseDocument(`
hosts:
  - { name: h1, tunnelIp: 172.31.1.1 }
  - { name: far, tunnelIp: 172.31.1.9, kind: peer, networks: [blue] }
networks: [{ name: blue, vni: 100 }]
subnets: [{ name: blue4, network: blue, cidr: 10.0.0.0/24, gateway: 10.0.0.254 }]
routers: [{ name: r1, subnets: [blue4] }]
ports:
  - { name: c1, network: blue, mac: "02:00:00:00:00:01", ips: [10.0.0.1], host: h1, device: p1 }
  - { name: old, network: blue, mac: "02:00:00:00:00:09", ips: [10.0.0.9], host: far }
`);
  const change = { document: behind, notInForce: notInForce(behind) };
  expect(view('ports', 'old', change)).toMatchObject({
    state: 'partial',
    why: expect.stringMatching(/behind a peer.*no gateway/),
  });
  expect(view('ports', 'c1', change)).toMatchObject({ state: 'active' });
});
