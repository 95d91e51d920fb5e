// flow/five-tuple.test.ts — connections by name: what is read is what is written.

import { describe, expect, test } from 'vitest';
import {
  formatFiveTuple,
  looksLikeFiveTuple,
  parseFiveTuple,
} from '../../../src/flow/five-tuple.ts';
import { formatMatch } from '../../../src/flow/key-text.ts';

const text = ({ there }: ReturnType<typeof parseFiveTuple>) =>
  formatMatch(there.key, 0, there.mask, 0);

describe('a five-tuple', () => {
  test.each([
    ['tcp 10.0.0.1:40000 10.0.0.2:80', 'ip_proto=6,tp_src=40000,tp_dst=80'],
    ['TCP 10.0.0.1:40000 > 10.0.0.2:80', 'ip_proto=6,tp_src=40000,tp_dst=80'],
    ['udp,10.0.0.1,10.0.0.2:53', 'ip_proto=17,tp_dst=53'],
    ['17 10.0.0.1:* 10.0.0.2:53', 'ip_proto=17,tp_dst=53'],
    ['icmp 10.0.0.1 -> 10.0.0.2', 'ip_proto=1'],
  ])('is read from "%s"', (given, expected) => {
    const match = `eth_type=0x0800,${expected},ip_src=10.0.0.1,ip_dst=10.0.0.2`;
    expect(looksLikeFiveTuple(given)).toBe(true);
    expect(text(parseFiveTuple(given))).toBe(match);
  });

  test('of IPv6 has brackets around an address with a port', () => {
    const { there, back } = parseFiveTuple('tcp [fd00::1]:1 fd00::2');
    expect(formatMatch(there.key, 0, there.mask, 0)).toBe(
      'eth_type=0x86dd,ip_proto=6,tp_src=1,ipv6_src=fd00::1,ipv6_dst=fd00::2',
    );
    expect(formatMatch(back.key, 0, back.mask, 0)).toBe(
      'eth_type=0x86dd,ip_proto=6,tp_dst=1,ipv6_src=fd00::2,ipv6_dst=fd00::1',
    );
  });

  test.each([
    ['tcp 10.0.0.1', 'has 2 parts'],
    ['tcp 10.0.0.1 10.0.0.2 10.0.0.3', 'has 4 parts'],
    ['tls 10.0.0.1 10.0.0.2', '"tls" is no protocol'],
    ['300 10.0.0.1 10.0.0.2', '"300" is no protocol'],
    ['tcp 10.0.0.256:1 10.0.0.2', '"10.0.0.256:1" is no address'],
    ['tcp web1 10.0.0.2', '"web1" is no address'],
    ['tcp 10.0.0.1: 10.0.0.2', '"" of "10.0.0.1:" is no port'],
    ['tcp 10.0.0.1:65536 10.0.0.2', '"65536" of "10.0.0.1:65536" is no port'],
    ['tcp 10.0.0.1:-1 10.0.0.2', '"-1" of "10.0.0.1:-1" is no port'],
    ['icmp 10.0.0.1:8 10.0.0.2', '"10.0.0.1:8" has a port'],
    ['tcp 10.0.0.1 fd00::1', 'are of two families'],
  ])('"%s" is refused: %s', (given, message) => {
    expect(() => parseFiveTuple(given)).toThrow(message);
  });

  test('is written as it is read, and what is no IP by its MACs', () => {
    const { there } = parseFiveTuple('tcp [fd00::1]:40000 [fd00::2]:80');
    const ends = { source: '[fd00::1]:40000', destination: '[fd00::2]:80' };
    expect(formatFiveTuple(there.key)).toEqual({ protocol: 'tcp', ...ends });
    expect(formatFiveTuple(new Uint32Array(28))).toEqual({
      protocol: '0x0000',
      source: '00:00:00:00:00:00',
      destination: '00:00:00:00:00:00',
    });
  });
});
