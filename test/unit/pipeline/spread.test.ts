// pipeline/spread.test.ts — equal ways: what decides among them, and that nothing else does.

import { expect, test } from 'vitest';
import { formatMatch, parseKey } from '../../../src/flow/key-text.ts';
import { newPipelineKey } from '../../../src/pipeline/rule.ts';
import { spread } from '../../../src/pipeline/spread.ts';

function way(text: string, count = 4) {
  const key = newPipelineKey();
  key.set(parseKey(text));
  const mask = newPipelineKey();
  return { way: spread(key, mask, count), mask: formatMatch(key, 0, mask, 0) };
}

const four = 'eth_type=ip,ip_src=10.0.0.1,ip_dst=192.0.2.1';

test('many connections are spread evenly', () => {
  const counts = [0, 0, 0];
  for (let port = 0; port < 256; port += 1) {
    for (let host = 1; host < 11; host += 1) {
      const text = `eth_type=ip,ip_src=10.0.0.${host},ip_dst=192.0.2.1,ip_proto=6,tp_src=${port}`;
      counts[way(text, 3).way]! += 1;
    }
  }
  for (const count of counts) expect(Math.abs(count - 2560 / 3)).toBeLessThan(100);
});

test('addresses, protocol and the low bytes of ports count, and are in the mask', () => {
  expect(way(`${four},ip_proto=6,tp_src=4660,tp_dst=22136`).mask).toBe(
    'eth_type=0x0800,ip_proto=6,ip_frag=0,tp_src=4660/0x00ff,tp_dst=22136/0x00ff,' +
      'ip_src=10.0.0.1,ip_dst=192.0.2.1',
  );
  expect(way('eth_type=ipv6,ipv6_src=fd00::1,ipv6_dst=fd00::2,ip_proto=58').mask).toBe(
    'eth_type=0x86dd,ip_proto=58,ip_frag=0,ipv6_src=fd00::1,ipv6_dst=fd00::2',
  );
});

test('no fragment of a datagram goes by its ports', () => {
  const ways = [1, 2, 3, 4, 5].map((port) => way(`${four},ip_proto=17,ip_frag=1,tp_src=${port}`));
  const later = way(`${four},ip_proto=17,ip_frag=3`).way;
  for (const one of ways) expect(one.way).toBe(later);
});
