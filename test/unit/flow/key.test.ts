// flow/key.test.ts — every field lies where native/flow/flow_key.h has it, in its byte order.

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import * as key from '../../../src/flow/key.ts';

const header = readFileSync(join(import.meta.dirname, '../../../native/flow/flow_key.h'), 'utf8');

describe('the field table', () => {
  test('has the names, offsets and sizes of the comment in flow_key.h', () => {
    const lines = header.matchAll(/^\/\/ {3}(\d+) +(\d+) +(\w+)/gm);
    const native = [...lines]
      .map(([, offset, bytes, name]) => ({ name, offset: Number(offset), bytes: Number(bytes) }))
      .filter(({ name }) => name !== 'zero');
    expect(key.fields.map(({ name, offset, bytes }) => ({ name, offset, bytes }))).toEqual(native);
  });

  test('says network order exactly for the fields that are Be16, Be32 or bytes', () => {
    for (const { name, order, bytes } of key.fields) {
      const type = new RegExp(`^ {2}(\\w+) ${name};`, 'm').exec(header)?.[1];
      const network = type === 'Be16' || type === 'Be32' || type?.endsWith('Bytes');
      expect(order, name).toBe(network ? 'network' : 'host');
      expect(type, name).toBe(
        { 1: 'uint8_t', 2: network ? 'Be16' : 'uint16_t', 4: network ? 'Be32' : 'uint32_t' }[
          bytes
        ] ?? (bytes === 6 ? 'MacBytes' : 'Ipv6Bytes'),
      );
    }
  });

  test('covers 112 bytes with no field over another', () => {
    const used = new Set<number>();
    for (const { offset, bytes } of key.fields) {
      for (let at = offset; at < offset + bytes; at += 1) {
        expect(used.has(at)).toBe(false);
        used.add(at);
      }
    }
    expect(Math.max(...used)).toBeLessThan(key.flowKeyBytes);
    expect(key.flowKeyWords).toBe(28);
  });
});

describe('getting and setting', () => {
  test('numbers of the wire stand in network order, ours in host order', () => {
    const words = new Uint32Array(key.flowKeyWords);
    const bytes = new Uint8Array(words.buffer);
    key.setNumber(words, 0, key.field.eth_type, 0x86dd);
    key.setNumber(words, 0, key.field.in_port, 0x01020304);
    key.setNumber(words, 0, key.field.tunnel_src, 0x0506);
    expect([...bytes.subarray(10, 12)]).toEqual([0x86, 0xdd]);
    expect([...bytes.subarray(0, 4)]).toEqual([4, 3, 2, 1]);
    expect([...bytes.subarray(8, 10)]).toEqual([6, 5]);
  });

  test('each field gives back what was set, at any base, and touches no other byte', () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...key.fields),
        fc.uint8Array({ minLength: 16, maxLength: 16 }),
        fc.nat(40),
        (entry, random, base) => {
          const words = new Uint32Array(base + key.flowKeyWords + 4);
          const value = random.subarray(0, entry.bytes);
          key.setBytes(words, base, entry, value);
          expect(key.getBytes(words, base, entry)).toEqual(value);
          if (entry.bytes <= 4) {
            const number = key.getNumber(words, base, entry);
            key.setNumber(words, base, entry, number);
            expect(key.getBytes(words, base, entry)).toEqual(value);
          }
          const bytes = new Uint8Array(words.buffer).slice();
          bytes.fill(0, base * 4 + entry.offset, base * 4 + entry.offset + entry.bytes);
          expect(bytes.every((byte) => byte === 0)).toBe(true);
        },
      ),
    );
  });

  test('masks of a field are recognised', () => {
    const mask = key.newKey();
    expect(key.isZero(mask, 0, key.field.eth_src)).toBe(true);
    key.setOnes(mask, 0, key.field.eth_src);
    expect(key.isOnes(mask, 0, key.field.eth_src)).toBe(true);
    expect(key.isZero(mask, 0, key.field.eth_dst)).toBe(true);
    expect(key.sameKey(mask, 0, key.newKey(), 0)).toBe(false);
    expect(() => key.setBytes(mask, 0, key.field.ip_src, new Uint8Array(6))).toThrow(/4 bytes/);
  });
});
