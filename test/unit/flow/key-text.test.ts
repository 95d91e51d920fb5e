// flow/key-text.test.ts — keys and masks survive the way through text; wrong text is explained.

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { field, fields, flowKeyWords, getNumber } from '../../../src/flow/key.ts';
import { formatKey, formatMatch, parseKey, parseMatch } from '../../../src/flow/key-text.ts';

describe('reading', () => {
  test('a packet as people write it', () => {
    const key = parseKey(
      'in_port=p1, eth_type=ip, eth_dst=02:00:00:00:00:02, ip_proto=tcp, tp_dst=80, vlan_vid=100',
      { portNumber: (name) => (name === 'p1' ? 7 : undefined) },
    );
    expect(getNumber(key, 0, field.in_port)).toBe(7);
    expect(getNumber(key, 0, field.eth_type)).toBe(0x0800);
    expect(getNumber(key, 0, field.ip_proto)).toBe(6);
    expect(getNumber(key, 0, field.tp_dst)).toBe(80);
    expect(getNumber(key, 0, field.vlan_tci)).toBe(0x1064);
  });

  test('a prefix masks its value', () => {
    const { key, mask } = parseMatch('ip_src=10.0.0.1/24,nd_target=fd00::1/64');
    expect(formatMatch(key, 0, mask, 0)).toBe('ip_src=10.0.0.0/24,nd_target=fd00::/64');
  });

  test.each([
    ['eth_dts=1', /"eth_dts" is no field of a packet; expected one of in_port, /],
    ['in_port', /"in_port" has no value; expected name=value/],
    ['in_port=nowhere', /in_port is "nowhere"; expected the name of a port, or a number from 0/],
    ['eth_src=02:00', /eth_src is "02:00"; expected a MAC address such as/],
    ['ip_src=fd00::1', /ip_src is "fd00::1"; expected an IPv4 address/],
    ['ip_src=10.0.0.0/33', /the mask of ip_src is "33"; expected a prefix length from 0 to 32/],
    ['tp_dst=65536', /tp_dst is "65536"; expected a number from 0 to 65535/],
    ['ip_proto=quic', /expected a number from 0 to 255, or one of icmp, tcp/],
    ['tp_dst=1,tp_dst=2', /tp_dst is given twice/],
    ['vlan_vid=1,vlan_tci=0', /vlan_tci is given twice/],
    ['vlan_vid=4096', /a VLAN from 0 to 4095/],
  ])('%s is refused by the name of the field', (text, message) => {
    expect(() => parseMatch(text)).toThrow(message);
    expect(() => parseMatch(text)).toThrow(
      expect.objectContaining({ code: 'ERR_ARGUMENT_INVALID' }),
    );
  });

  test('a packet has no masks', () => {
    expect(() => parseKey('ip_src=10.0.0.0/24')).toThrow(/has a mask/);
  });
});

describe('writing', () => {
  test('ports have names where they are known', () => {
    const { key, mask } = parseMatch('in_port=3,eth_dst=01:00:00:00:00:00/01:00:00:00:00:00');
    expect(formatMatch(key, 0, mask, 0, { portName: (number) => `p${number}` })).toBe(
      'in_port=p3,eth_dst=01:00:00:00:00:00/01:00:00:00:00:00',
    );
    expect(formatKey(key)).toBe('in_port=3,eth_dst=01:00:00:00:00:00');
    expect(formatMatch(key, 0, new Uint32Array(flowKeyWords), 0)).toBe('any');
  });

  test('what is written is read back as the same match, whatever the masks', () => {
    const bytes = fc.uint8Array({ minLength: 112, maxLength: 112 });
    fc.assert(
      fc.property(bytes, bytes, fc.subarray([...fields]), (keyBytes, maskBytes, chosen) => {
        const mask = new Uint8Array(112);
        const key = new Uint8Array(112);
        for (const { offset, bytes: length } of chosen) {
          for (let at = offset; at < offset + length; at += 1) {
            mask[at] = maskBytes[at]!;
            key[at] = keyBytes[at]! & mask[at]!;
          }
        }
        const words = [new Uint32Array(key.buffer), new Uint32Array(mask.buffer)] as const;
        const again = parseMatch(formatMatch(words[0], 0, words[1], 0));
        expect(again).toEqual({ key: words[0], mask: words[1] });
      }),
    );
  });
});
