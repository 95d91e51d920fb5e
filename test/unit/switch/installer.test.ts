// switch/installer.test.ts — what is wanted against what is there: only the difference is done.

import { describe, expect, it } from 'vitest';
import { parseConfig } from '../../../src/model/config.ts';
import type { DatapathObjects, PortObject } from '../../../src/rules/objects.ts';
import { Installer } from '../../../src/switch/installer.ts';
import { FakeNative } from './fake-native.ts';

const config = parseConfig('{ host: h1, tunnel: { device: u1 } }');
const uplinkNumber = 9;

const port = (number: number): PortObject => ({ number, device: `p${number}`, mode: 'auto' });
const tunnel = (number: number, remote: string) =>
  ({ number, encap: 'vxlan', local: '172.31.1.1', remote }) as const;
const member = (number: number) => ({ kind: 'port', number, vlan: 0, meter: 0 }) as const;

/** Two ports, one tunnel, one group, one network; or with changes. */
function objects(change: Partial<DatapathObjects> = {}): DatapathObjects {
  return {
    ports: new Map([
      ['p1', port(1)],
      ['p2', port(2)],
    ]),
    tunnels: new Map([['h2/vxlan', tunnel(1, '172.31.1.2')]]),
    groups: new Map([['blue/all', { number: 5, members: [member(1), member(2)] }]]),
    networks: new Map([['blue', { vni: 100, encap: 'vxlan' }]]),
    zones: new Map(),
    meters: new Map(),
    endpoints: ['172.31.1.1'],
    ...change,
  };
}

function installed() {
  const native = new FakeNative();
  const installer = new Installer(native, config, () => uplinkNumber);
  installer.put(objects());
  installer.remove();
  return { native, installer, first: native.take() };
}

describe('the installer', () => {
  it('installs endpoints and networks first, ports before tunnels, groups last', () => {
    const { first } = installed();
    expect(first).toEqual([
      'setEndpoints',
      'setNetworks 100',
      'addPort 9',
      'addPort 1',
      'addPort 2',
      'setTunnel 1',
      'setGroups 5',
    ]);
  });

  it('calls for nothing when everything is there already, also as another installer', () => {
    const { native, installer } = installed();
    installer.put(objects());
    installer.remove();
    expect(native.take()).toEqual([]);
    const next = new Installer(native, config, () => uplinkNumber);
    next.put(objects());
    next.remove();
    expect(native.take()).toEqual([]);
  });

  it('touches only what differs', () => {
    const { native, installer } = installed();
    installer.put(objects({ tunnels: new Map([['h2/vxlan', tunnel(1, '172.31.1.9')]]) }));
    expect(native.take()).toEqual(['setTunnel 1']);
    installer.put(
      objects({ groups: new Map([['blue/all', { number: 5, members: [member(1)] }]]) }),
    );
    expect(native.take()).toEqual(['setTunnel 1', 'setGroups 5']);
  });

  it('replaces a port whose device or mode is another', () => {
    const { native, installer } = installed();
    const ports = new Map<string, PortObject>([
      ['p1', { ...port(1), mode: 'af_xdp_generic' }],
      ['p2', port(2)],
    ]);
    installer.put(objects({ ports }));
    expect(native.take()).toEqual(['removePort 1', 'addPort 1']);
  });

  it('removes only when told so, what refers before what is referred to', () => {
    const { native, installer } = installed();
    installer.put(
      objects({ ports: new Map(), tunnels: new Map(), groups: new Map(), networks: new Map() }),
    );
    expect(native.take()).toEqual([]);
    installer.remove();
    expect(native.take()).toEqual([
      'setNetworks ',
      'removeGroups 5',
      'removeTunnel 1',
      'removePort 9',
      'removePort 1',
      'removePort 2',
    ]);
  });

  it('keeps a network that is to go until flows have stopped using it', () => {
    const { native, installer } = installed();
    const networks = new Map([['red', { vni: 50, encap: 'vxlan' as const }]]);
    installer.put(objects({ networks }));
    expect(native.take()).toEqual(['setNetworks 50,100']);
    installer.remove();
    expect(native.take()).toEqual(['setNetworks 50']);
  });

  it('removes what an earlier vtepd left and nobody wants', () => {
    const { native } = installed();
    const next = new Installer(native, config, () => uplinkNumber);
    native.addPort({ number: 77, name: 'old', device: 'old', kind: 'auto' });
    native.setGroups([{ number: 88, members: [] }]);
    native.take();
    next.put(objects());
    expect(native.take()).toEqual([]);
    next.remove();
    expect(native.take()).toEqual(['removeGroups 88', 'removePort 77']);
  });

  it('removes nothing before it knows what is wanted', () => {
    const native = new FakeNative();
    native.setGroups([{ number: 88, members: [] }]);
    native.take();
    const installer = new Installer(native, config, () => uplinkNumber);
    installer.remove();
    expect(installer.putPorts()).toBe(false);
    expect(native.take()).toEqual([]);
  });
});

describe('connection tracking zones', () => {
  const zones = new Map([
    ['p1/0', { port: 1, vlan: 0, vni: 0, zone: 3 }],
    ['p2/7', { port: 2, vlan: 7, vni: 0, zone: 3 }],
    ['VNI 100', { port: 0, vlan: 0, vni: 100, zone: 3 }],
  ]);

  it('are set once, and taken away when flows have stopped asking for them', () => {
    const { native, installer } = installed();
    installer.put(objects({ zones }));
    const set = ['setZone port 1 vlan 0 3', 'setZone port 2 vlan 7 3', 'setZone vni 100 3'];
    expect(native.take()).toEqual(set);
    installer.put(objects({ zones: new Map([...zones].slice(1)) }));
    expect(native.take()).toEqual([]);
    installer.remove();
    expect(native.take()).toEqual(['setZone port 1 vlan 0 0']);
  });

  it('go with their port, and are set again when it is back', () => {
    const { native, installer } = installed();
    installer.put(objects({ zones }));
    native.take();
    native.vanish(1);
    installer.putPorts();
    expect(native.take()).toEqual(['removePort 1', 'addPort 1', 'setZone port 1 vlan 0 3']);
  });
});

describe('ports that wait', () => {
  it('do not hold up the others, and are opened when their device comes', () => {
    const native = new FakeNative();
    native.missing.set('p1', 'ERR_DEVICE_NOT_FOUND');
    const installer = new Installer(native, config, () => uplinkNumber);
    installer.put(objects());
    expect(native.take()).toContain('addPort 2');
    expect(installer.waiting).toEqual([
      { device: 'p1', code: 'ERR_DEVICE_NOT_FOUND', why: 'no p1' },
    ]);
    expect(installer.putPorts()).toBe(false);
    native.missing.clear();
    expect(installer.putPorts()).toBe(true);
    expect(native.take()).toEqual(['addPort 1']);
    expect(installer.waiting).toEqual([]);
    expect(installer.putPorts()).toBe(false);
  });

  it('are forgotten when nobody wants them any more', () => {
    const native = new FakeNative();
    native.missing.set('p1', 'ERR_DEVICE_NOT_FOUND');
    const installer = new Installer(native, config, () => uplinkNumber);
    installer.put(objects());
    installer.put(objects({ ports: new Map([['p2', port(2)]]) }));
    expect(installer.waiting).toEqual([]);
  });

  it('are those whose device went away under them, until it is back', () => {
    const { native, installer } = installed();
    native.vanish(1);
    native.missing.set('p1', 'ERR_DEVICE_NOT_FOUND');
    expect(installer.putPorts()).toBe(true);
    expect(installer.waiting).toMatchObject([{ device: 'p1' }]);
    native.missing.clear();
    expect(installer.putPorts()).toBe(true);
    expect(native.take()).toEqual(['removePort 1', 'addPort 1']);
  });

  it('say which tunnel address no device has, when the uplink is found by address', () => {
    const native = new FakeNative();
    const anyDevice = parseConfig('{ host: h1 }');
    const installer = new Installer(native, anyDevice, () => uplinkNumber);
    installer.put(objects({ endpoints: ['192.0.2.77'] }));
    expect(installer.waiting).toMatchObject([
      { device: 'tunnel address 192.0.2.77', code: 'ERR_DEVICE_NOT_FOUND' },
    ]);
    installer.put(objects({ endpoints: ['192.0.2.78'] }));
    expect(installer.waiting).toMatchObject([{ device: 'tunnel address 192.0.2.78' }]);
    installer.put(objects({ endpoints: ['127.0.0.1'] }));
    expect(native.ports.get(uplinkNumber)).toMatchObject({ device: 'lo', uplink: true });
    expect(installer.waiting).toEqual([]);
  });

  it('are no excuse for a bug or a dead data path', () => {
    const native = new FakeNative();
    const installer = new Installer(native, config, () => uplinkNumber);
    native.missing.set('p1', 'EODD');
    expect(() => installer.put(objects())).toThrow('odd');
    native.missing.set('p1', 'ERR_DATAPATH_CLOSED');
    expect(() => installer.put(objects())).toThrow(
      expect.objectContaining({ code: 'ERR_DATAPATH_CLOSED' }),
    );
  });
});

describe('rate limits', () => {
  const limited = (rate: number) =>
    objects({ meters: new Map([['a/egress', { number: 3, rate, burst: 131_072 }]]) });

  it('are set before the ports come, once, again when they change, and removed at last', () => {
    const { native, installer } = installed();
    installer.put(limited(1000));
    expect(native.take()).toEqual(['setMeter 3 1000 131072']);
    installer.put(limited(1000));
    installer.remove();
    expect(native.take()).toEqual([]);
    installer.put(limited(2000));
    expect(native.take()).toEqual(['setMeter 3 2000 131072']);
    installer.put(objects());
    expect(native.take()).toEqual([]);
    installer.remove();
    expect(native.take()).toEqual(['removeMeter 3']);
  });
});
