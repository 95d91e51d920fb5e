// lib/addresses.test.ts — text and bytes of addresses, right and wrong.

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import * as addresses from '../../../src/lib/addresses.ts';
import { SwitchError } from '../../../src/lib/errors.ts';

const bytesOf = (length: number) => fc.uint8Array({ minLength: length, maxLength: length });

describe('MAC addresses', () => {
  test.each([
    ['02:00:00:00:00:01', [2, 0, 0, 0, 0, 1]],
    ['AA-bb-CC-dd-EE-ff', [0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff]],
  ])('%s is read', (text, bytes) => {
    expect(Array.from(addresses.parseMac(text))).toEqual(bytes);
  });

  test.each([
    '',
    '02:00:00:00:00',
    '02:00:00:00:00:01:02',
    '02:00-00:00-00:01',
    '2:0:0:0:0:1',
    '0200.0000.0001',
    '02:00:00:00:00:0g',
    ' 02:00:00:00:00:01',
    '02:00:00:00:00:01\n',
  ])('%j is refused', (text) => {
    expect(addresses.tryParseMac(text)).toBeUndefined();
    expect(() => addresses.parseMac(text)).toThrow(SwitchError);
  });

  test('come back from their text', () => {
    fc.assert(
      fc.property(bytesOf(6), (bytes) => {
        expect(addresses.parseMac(addresses.formatMac(bytes))).toEqual(bytes);
      }),
    );
  });

  test('with the group bit are multicast', () => {
    expect(addresses.isMulticastMac(addresses.parseMac('01:00:5e:00:00:01'))).toBe(true);
    expect(addresses.isMulticastMac(addresses.parseMac('02:00:00:00:00:01'))).toBe(false);
  });

  test('have six bytes', () => {
    expect(() => addresses.formatMac(new Uint8Array(5))).toThrow(RangeError);
  });
});

describe('IP addresses', () => {
  test.each([
    ['10.0.0.1', '10.0.0.1'],
    ['255.255.255.255', '255.255.255.255'],
    ['FD00:0:0:0:0:0:0:1', 'fd00::1'],
    ['::', '::'],
    ['2001:db8:0:0:1:0:0:1', '2001:db8::1:0:0:1'],
    ['2001:db8:0:1:1:1:1:1', '2001:db8:0:1:1:1:1:1'],
    ['::ffff:10.0.0.1', '::ffff:a00:1'],
  ])('%s has the canonical form %s', (text, canonical) => {
    expect(addresses.formatIp(addresses.parseIp(text))).toBe(canonical);
  });

  test.each([
    '',
    '1',
    '10.1',
    '10.0.0',
    '10.0.0.256',
    '010.0.0.1',
    '0x0a.0.0.1',
    '10.0.0.1.',
    '10.0.0.1/24',
    ' 10.0.0.1',
    'fe80::1%eth0',
    'fd00:::1',
    'fd00::1::2',
    '1:2:3:4:5:6:7:8:9',
    'fd00::12345',
    '[fd00::1]',
    'localhost',
  ])('%j is refused', (text) => {
    expect(addresses.tryParseIp(text)).toBeUndefined();
    expect(() => addresses.parseIp(text)).toThrow(SwitchError);
  });

  test('come back from their text', () => {
    fc.assert(
      fc.property(fc.oneof(bytesOf(4), bytesOf(16)), (bytes) => {
        expect(addresses.parseIp(addresses.formatIp(bytes))).toEqual(bytes);
      }),
    );
  });

  test.each(['0.0.0.0', '0.1.2.3', '224.0.0.1', '255.255.255.255', '::', 'ff02::1'])(
    '%s is no unicast address',
    (text) => expect(addresses.isUnicastIp(addresses.parseIp(text))).toBe(false),
  );

  test.each(['10.0.0.1', '127.0.0.1', '223.255.255.255', 'fd00::1', 'fe80::1'])(
    '%s is a unicast address',
    (text) => expect(addresses.isUnicastIp(addresses.parseIp(text))).toBe(true),
  );
});

describe('prefixes', () => {
  test.each([
    '10.0.0.1/24',
    '10.0.0.0/33',
    '10.0.0.0/-1',
    '10.0.0.0/08',
    '10.0.0.0/',
    '/8',
    'fd00::/129',
  ])('%j is refused', (text) => {
    expect(addresses.tryParseCidr(text)).toBeUndefined();
    expect(() => addresses.parseCidr(text)).toThrow(SwitchError);
  });

  test('without host bits are kept, with host bits only when asked', () => {
    expect(addresses.formatCidr(addresses.parseCidr('10.1.2.128/25'))).toBe('10.1.2.128/25');
    const loose = addresses.tryParseCidr('10.1.2.200/25', true);
    expect(loose && addresses.formatCidr(loose)).toBe('10.1.2.128/25');
    expect(addresses.formatCidr(addresses.parseCidr('0.0.0.0/0'))).toBe('0.0.0.0/0');
  });

  test('of a plain address are of whole length', () => {
    expect(addresses.tryParseIpOrCidr('10.0.0.1')?.prefix).toBe(32);
    expect(addresses.tryParseIpOrCidr('fd00::1')?.prefix).toBe(128);
    expect(addresses.tryParseIpOrCidr('10.0.0.0/8')?.prefix).toBe(8);
    expect(addresses.tryParseIpOrCidr('ten')).toBeUndefined();
  });

  test('contain what a bit by bit comparison says', () => {
    const bit = (bytes: Uint8Array, index: number) =>
      ((bytes[index >> 3] as number) >> (7 - (index & 7))) & 1;
    const one = fc.oneof(
      fc.tuple(bytesOf(4), bytesOf(4), fc.nat(32)),
      fc.tuple(bytesOf(16), bytesOf(16), fc.nat(128)),
    );
    fc.assert(
      fc.property(one, fc.nat(128), ([base, other, prefix], flip) => {
        const cidr = addresses.tryParseCidr(`${addresses.formatIp(base)}/${prefix}`, true);
        if (cidr === undefined) throw new Error('a loose prefix is always read');
        // Far addresses are seldom inside; one bit away is the interesting neighbour.
        const near = base.slice();
        const at = flip % (base.length * 8);
        near[at >> 3] = (near[at >> 3] as number) ^ (0x80 >> (at & 7));
        for (const address of [other, near]) {
          let inside = true;
          for (let index = 0; index < prefix; index += 1) {
            if (bit(base, index) !== bit(address, index)) inside = false;
          }
          expect(addresses.cidrContains(cidr, address)).toBe(inside);
        }
      }),
    );
  });

  test('overlap when one holds the other, never across families', () => {
    const overlap = (one: string, other: string) =>
      addresses.cidrsOverlap(addresses.parseCidr(one), addresses.parseCidr(other));
    expect(overlap('10.0.0.0/8', '10.1.0.0/16')).toBe(true);
    expect(overlap('10.1.0.0/16', '10.0.0.0/8')).toBe(true);
    expect(overlap('10.0.0.0/16', '10.1.0.0/16')).toBe(false);
    expect(overlap('0.0.0.0/0', '::/0')).toBe(false);
    const any = addresses.parseCidr('0.0.0.0/0');
    expect(addresses.cidrContains(any, addresses.parseIp('::1'))).toBe(false);
  });

  test('have masks', () => {
    expect(addresses.formatIp(addresses.prefixMask(20, 4))).toBe('255.255.240.0');
    expect(addresses.formatIp(addresses.prefixMask(0, 4))).toBe('0.0.0.0');
    expect(addresses.formatIp(addresses.prefixMask(65, 16))).toBe('ffff:ffff:ffff:ffff:8000::');
  });
});
