// pipeline/service-table.test.ts — spans of ports against rules asked one by one.

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { builtIn, Match, makeRule } from '../../../src/pipeline/match.ts';
import {
  portBits,
  portMax,
  type Service,
  ServiceTable,
} from '../../../src/pipeline/service-table.ts';

function service(fields: Partial<Service>, name = 'a'): Service {
  const parts = { id: name, priority: 0, match: new Match(), steps: [], origin: builtIn };
  const rule = makeRule('ingress-policy', parts);
  return { protocol: 6, first: 0, last: portMax, rank: 0, allow: true, rule, ...fields };
}

describe('a table', () => {
  const web = service({ first: 80, last: 443 }, 'web');
  const admin = service({ first: 100, last: 100, rank: 5, allow: false }, 'admin');
  const any = service({ protocol: undefined, first: 0, last: portMax, rank: -1 }, 'any');

  test('finds the rule of highest rank, and the span that it holds in', () => {
    const table = new ServiceTable([web, admin]);
    const found = (port: number) => [table.find(6, port)?.rule.id, table.first, table.last];
    expect(found(79)).toEqual([undefined, 0, 79]);
    expect(found(80)).toEqual(['ingress-policy/web', 80, 99]);
    expect(found(100)).toEqual(['ingress-policy/admin', 100, 100]);
    expect(found(443)).toEqual(['ingress-policy/web', 101, 443]);
    expect(found(65535)).toEqual([undefined, 444, portMax]);
    expect(table.find(17, 80)).toBeUndefined();
    expect(table.rankMax).toBe(5);
  });

  test('knows rules for every protocol, also for protocols that have none of their own', () => {
    const table = new ServiceTable([web, { ...any, rank: 0 }]);
    expect(table.find(6, 81)).toBe(web);
    expect(table.find(6, 1)?.rule).toBe(any.rule);
    expect(table.find(47, 0)?.rule).toBe(any.rule);
  });

  test('lets a later fragment pass if any port may, unless no port may', () => {
    expect(new ServiceTable([web]).fragment(6)).toBe(web);
    expect(new ServiceTable([web]).fragment(17)).toBeUndefined();
    expect(new ServiceTable([admin]).fragment(6)).toBeUndefined();
    const none = service({ allow: false, rank: 3 }, 'none');
    expect(new ServiceTable([web, none]).fragment(6)).toBe(none);
  });
});

test('spans hold what asking every rule says', () => {
  const range = fc
    .tuple(fc.nat(40), fc.nat(40))
    .map(([one, other]) => ({ first: Math.min(one, other), last: Math.max(one, other) }));
  // The end of the port space is an end of ranges too.
  const anywhere = fc.oneof(
    range,
    range.map(({ first }) => ({ first, last: portMax })),
  );
  const rules = fc.array(
    fc.record({ range: anywhere, protocol: fc.constantFrom(undefined, 6, 17), rank: fc.nat(1000) }),
    { maxLength: 12 },
  );
  fc.assert(
    fc.property(rules, (list) => {
      const services = list.map((one, index) => {
        const { protocol, rank } = one;
        return service({ ...one.range, protocol, rank: rank * 100 + index }, `${index}`);
      });
      const table = new ServiceTable(services);
      for (const protocol of [6, 17, 47]) {
        for (const port of [...Array(45).keys(), portMax]) {
          const [best] = services
            .filter((one) => one.protocol === undefined || one.protocol === protocol)
            .filter(({ first, last }) => first <= port && port <= last)
            .sort((one, other) => other.rank - one.rank);
          expect(table.find(protocol, port)).toBe(best);
          expect(table.first <= port && port <= table.last).toBe(true);
          const { first, last } = table;
          expect([table.find(protocol, first), table.find(protocol, last)]).toEqual([best, best]);
        }
      }
    }),
    { numRuns: 100 },
  );
});

test('the bits of a port are those of the widest block inside the span', () => {
  expect(portBits(80, 0, portMax)).toBe(0);
  expect(portBits(40_000, 1024, portMax)).toBe(1);
  expect(portBits(80, 80, 443)).toBe(12);
  expect(portBits(443, 80, 443)).toBe(14);
  expect(portBits(22, 22, 22)).toBe(16);
  fc.assert(
    fc.property(fc.nat(portMax), fc.nat(portMax), fc.nat(portMax), (one, two, three) => {
      const [first, port, last] = [one, two, three].sort((a, b) => a - b) as [
        number,
        number,
        number,
      ];
      const size = 2 ** (16 - portBits(port, first, last));
      const start = port - (port % size);
      expect(start >= first && start + size - 1 <= last).toBe(true);
      const wider = start - (start % (size * 2));
      if (size <= portMax) expect(wider < first || wider + size * 2 - 1 > last).toBe(true);
    }),
  );
});
