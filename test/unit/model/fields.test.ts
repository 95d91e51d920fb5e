// model/fields.test.ts — each kind of value: what it takes, and the one form it gets.

import { describe, expect, test } from 'vitest';
import type { z } from 'zod';
import * as field from '../../../src/model/fields.ts';

function table(schema: z.ZodType, right: [unknown, unknown][], wrong: unknown[]): void {
  test.each(right)('%j becomes %j', (value, canonical) => {
    expect(schema.parse(value)).toBe(canonical);
    expect(schema.parse(canonical)).toBe(canonical);
  });
  test.each(wrong.map((value) => [value]))('%j is refused, with what would be right', (value) => {
    const result = schema.safeParse(value);
    expect(result.success).toBe(false);
    for (const issue of result.error?.issues ?? []) expect(issue.message).not.toMatch(/^Invalid/);
  });
}

const odd = [null, undefined, true, {}, []];

describe('a name', () => {
  const right = ['a', '0', 'Web-1.prod_x', 'x'.repeat(63)];
  const wrong = ['', '-a', '.a', 'a b', 'a/b', 'ä', 'a\n', 'x'.repeat(64), 1, ...odd];
  table(
    field.nameOf('a port'),
    right.map((text) => [text, text]),
    wrong,
  );
});

describe('a device', () => {
  const right = ['eth0', 'br-lan', 'eth0.10', 'ünï', 'x'.repeat(15)];
  const wrong = [
    '',
    '.',
    '..',
    'a/b',
    'a:1',
    'a b',
    'a\u0000',
    'x'.repeat(16),
    'ü'.repeat(8),
    ...odd,
  ];
  table(
    field.deviceName(),
    right.map((text) => [text, text]),
    wrong,
  );
});

describe('a MAC address', () => {
  table(
    field.unicastMac(),
    [['02-AA-00-00-00-01', '02:aa:00:00:00:01']],
    ['ff:ff:ff:ff:ff:ff', '00:00:00:00:00:00', '33:33:00:00:00:01', 2, ...odd],
  );
});

describe('an IP address', () => {
  table(
    field.unicastIp(),
    [
      ['10.0.0.1', '10.0.0.1'],
      ['FD00:0::1', 'fd00::1'],
    ],
    ['0.0.0.0', '::', '224.0.0.1', 'ff02::1', '10.0.0.0/8', 10, ...odd],
  );
});

describe('a prefix', () => {
  table(field.cidr(), [['FD00:0::/16', 'fd00::/16']], ['10.0.0.1', '10.0.0.1/24', 8, ...odd]);
});

describe('an address or prefix', () => {
  table(
    field.ipOrCidr(),
    [
      ['10.0.0.1/32', '10.0.0.1'],
      ['10.0.0.0/8', '10.0.0.0/8'],
      ['FD00::1', 'fd00::1'],
    ],
    ['10.0.0.1/8', 'all', '', ...odd],
  );
});

describe('a rate', () => {
  table(field.rate(), [['100000 kbit', '100mbit']], ['100', 'fast', 100, ...odd]);
});

describe('a range of ports', () => {
  table(
    field.portRange(),
    [
      [80, '80'],
      ['80', '80'],
      ['080-0443', '80-443'],
      ['80-80', '80'],
      [0, '0'],
      ['0-65535', '0-65535'],
    ],
    ['443-80', '65536', -1, 1.5, '80-', '80,443', '', ...odd],
  );
  test('is read as numbers', () => {
    expect(field.tryParsePortRange('80-443')).toEqual({ first: 80, last: 443 });
    expect(field.tryParsePortRange('80')).toEqual({ first: 80, last: 80 });
    expect(field.tryParsePortRange('x')).toBeUndefined();
  });
});

describe('a path', () => {
  table(
    field.absolutePath('a socket', 10),
    [['/run/x', '/run/x']],
    ['run/x', '', '/run/x\u0000', '/0123456789', 1, ...odd],
  );
});

describe('a whole number', () => {
  table(
    field.wholeNumber('a VLAN', 1, 4094),
    [
      [1, 1],
      [4094, 4094],
    ],
    [0, 4095, 1.5, '1', Number.NaN, ...odd],
  );
});
