// switch/names.test.ts — what is printed as a name can be read again, and means the same port.

import { beforeEach, describe, expect, it } from 'vitest';
import { Numbering } from '../../../src/rules/numbering.ts';
import { type NamedPort, type Names, namesOf } from '../../../src/switch/names.ts';

const here = (name: string, device: string): NamedPort => ({ name, host: 'h1', device });

let numbering: Numbering;
let ports: readonly NamedPort[];
let names: Names;

beforeEach(() => {
  numbering = new Numbering();
  for (const device of ['p1', 'trunk0', 'u1']) numbering.number('devices', device);
  ports = [
    here('web', 'p1'),
    here('a', 'trunk0'),
    here('b', 'trunk0'),
    { name: 'far', host: 'h2', device: 'p1' },
    { name: 'virtual', host: 'h1' },
  ];
  names = namesOf(numbering, 'h1', () => ports);
});

describe('names of ports', () => {
  it('are those of the document for a device that carries one port', () => {
    expect(names.portName(1)).toBe('web');
  });

  it('are those of devices for trunks and uplinks', () => {
    expect([names.portName(2), names.portName(3)]).toEqual(['trunk0', 'u1']);
  });

  it('are understood as port and as device', () => {
    expect(['web', 'p1', 'a', 'b', 'trunk0', 'u1'].map(names.portNumber)).toEqual([
      1, 1, 2, 2, 2, 3,
    ]);
  });

  it('are unknown for ports of other hosts, ports without device, and other numbers', () => {
    expect(['far', 'virtual', 'nobody'].map(names.portNumber)).toEqual([
      undefined,
      undefined,
      undefined,
    ]);
    expect([names.portName(0), names.portName(99)]).toEqual([undefined, undefined]);
  });

  it('are not used where a port has the name of another device', () => {
    ports = [here('u1', 'p1'), here('p1', 'trunk0'), here('x', 'trunk0')];
    expect(names.portNumber('u1')).toBe(1);
    expect(names.portName(1)).toBe('u1');
    expect(names.portName(3), 'the device u1 would be read as the port u1').toBeUndefined();
    for (const number of [1, 2]) {
      expect(names.portNumber(names.portName(number) ?? '')).toBe(number);
    }
  });

  it('follow the document', () => {
    expect(names.portName(1)).toBe('web');
    ports = [here('db', 'p1')];
    expect(names.portName(1)).toBe('db');
    expect(names.portNumber('web')).toBeUndefined();
  });
});

describe('names of tunnels and groups', () => {
  it('are those that they were numbered by', () => {
    const tunnel = numbering.number('tunnels', 'h2/vxlan');
    const group = numbering.number('groups', 'blue/all');
    expect([names.tunnelName(tunnel), names.groupName(group)]).toEqual(['h2/vxlan', 'blue/all']);
    expect([names.tunnelName(77), names.groupName(group + 1)]).toEqual([undefined, undefined]);
  });
});
