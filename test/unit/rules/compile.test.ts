// rules/compile.test.ts — whole documents: what their verdicts promise, and what compiling costs.

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { flowKeyWords } from '../../../src/flow/key.ts';
import { formatMac } from '../../../src/lib/addresses.ts';
import type { Document } from '../../../src/model/document.ts';
import { documentSchema } from '../../../src/model/document.ts';
import { Translation, translate } from '../../../src/pipeline/translate.ts';
import { compile, nothingCompiled } from '../../../src/rules/compile.ts';
import { diffCompiled } from '../../../src/rules/diff.ts';
import { Numbering } from '../../../src/rules/numbering.ts';
import { cpuMs } from '../../support/process.ts';
import { sameWords, wildBits } from '../pipeline/arbitrary.ts';
import { arbitraryPacket } from './arbitrary-packet.ts';
import { example, exampleNames, TestNetwork } from './network.ts';

const views = exampleNames.flatMap((name) => {
  const document = example(name);
  const hosts = document.hosts.filter(({ kind }) => kind === 'vtepd');
  return hosts.map((host) => ({ name, host: host.name, document }));
});

function sameVerdict(one: Translation, other: Translation): boolean {
  return (
    one.decision === other.decision &&
    one.learn === other.learn &&
    one.actionCount === other.actionCount &&
    one.actions.subarray(0, one.actionCount).every((word, at) => word === other.actions[at]) &&
    sameWords(one.mask.subarray(0, flowKeyWords), other.mask.subarray(0, flowKeyWords))
  );
}

describe.each(views)('$name as seen by $host', ({ document, host }) => {
  const network = new TestNetwork(document, host);
  const packets = arbitraryPacket(document, network);

  test('flip any bit that a verdict leaves wild, and the verdict does not change', () => {
    const out = new Translation();
    const flipped = new Translation();
    fc.assert(
      fc.property(packets, (key) => {
        translate(network.pipeline, key, 0, out);
        for (const [word, bit] of wildBits(out.mask, flowKeyWords)) {
          const other = key.slice();
          other[word] = other[word]! ^ (1 << bit);
          translate(network.pipeline, other, 0, flipped);
          if (!sameVerdict(out, flipped)) throw new Error(`bit ${bit} of word ${word} mattered`);
        }
      }),
      { numRuns: 150 },
    );
  });

  test('a cache of megaflows says of every packet what translating it says', () => {
    fc.assert(
      fc.property(fc.array(packets, { minLength: 50, maxLength: 120 }), (keys) => {
        const megaflows: Translation[] = [];
        for (const key of keys) {
          const fresh = new Translation();
          translate(network.pipeline, key, 0, fresh);
          const hits = megaflows.filter((flow) =>
            key.every((word, at) => ((word ^ flow.key[at]!) & flow.mask[at]!) === 0),
          );
          if (hits.length === 0) megaflows.push(fresh);
          if (!hits.every((hit) => sameVerdict(hit, fresh))) throw new Error('a hit was wrong');
        }
      }),
      { numRuns: 20 },
    );
  });

  test('compiles twice to the same, and to nothing that would change', () => {
    const options = { host, numbering: network.numbering, uplinkDevice: 'uplink0' };
    const again = compile(document, options, network.compiled);
    expect(diffCompiled(network.compiled, again).empty).toBe(true);
  });
});

test('a host that is not in the document is refused by name', () => {
  const options = { host: 'h9', numbering: new Numbering() };
  expect(() => compile(example('two-hosts.yaml'), options)).toThrow(
    expect.objectContaining({ code: 'ERR_NOT_FOUND', message: 'the document has no host h9' }),
  );
});

test('networks without a port on the host take no rule and no object', () => {
  const { rules, objects } = compile(example('two-hosts.yaml'), {
    host: 'h1',
    numbering: new Numbering(),
  });
  expect([...objects.networks.keys()]).toEqual(['blue', 'red']);
  const routed = example('three-tier.yaml');
  const document = { ...routed, routers: [] };
  const h2 = compile(document, { host: 'h2', numbering: new Numbering() });
  expect([...h2.objects.networks.keys()]).toEqual(['web', 'db']);
  expect([...h2.rules.keys()].some((id) => id.includes('app'))).toBe(false);
  expect(rules.size).toBeGreaterThan(40);
  // A router leads there, so the host must know who is there; but nothing is replicated.
  const routing = compile(routed, { host: 'h2', numbering: new Numbering() });
  expect([...routing.objects.networks.keys()]).toEqual(['web', 'app', 'db']);
  expect([...routing.objects.groups.keys()].some((name) => name.startsWith('app/'))).toBe(false);
  expect(diffCompiled(nothingCompiled, nothingCompiled).empty).toBe(true);
});

test('a hundred ports in a thousand networks compile in less than 200 ms', () => {
  const document = bigDocument(1000, 100);
  const numbering = new Numbering();
  compile(document, { host: 'h1', numbering });
  const times = [1, 2, 3].map(() =>
    cpuMs(() => {
      const { rules } = compile(document, { host: 'h1', numbering });
      expect(rules.size).toBeGreaterThan(2000);
    }),
  );
  expect(Math.min(...times)).toBeLessThan(200);
});

/** `count` networks; on each of the first `portCount` a port here and one on another host. */
function bigDocument(count: number, portCount: number): Document {
  const mac = (side: number, index: number) =>
    formatMac(Uint8Array.of(2, 0, side, 0, index >> 8, index & 255));
  return documentSchema.parse({
    hosts: [
      { name: 'h1', tunnelIp: '172.31.1.1' },
      { name: 'h2', tunnelIp: '172.31.1.2' },
    ],
    networks: Array.from({ length: count }, (_, index) => ({ name: `n${index}`, vni: index + 1 })),
    ports: Array.from({ length: portCount }, (_, index) =>
      [1, 2].map((side) => ({
        name: `p${side}-${index}`,
        network: `n${index}`,
        mac: mac(side, index),
        ips: [`10.0.0.${side}`, `fd00::${side}`],
        host: `h${side}`,
        device: `d${index}`,
      })),
    ).flat(),
  });
}

test('a change of rules or address sets alone leaves all else as it was made', () => {
  const document = example('three-tier.yaml');
  const { compiled, numbering } = new TestNetwork(document, 'h1');
  const options = { host: 'h1', numbering, uplinkDevice: 'uplink0' };
  const addressSets = [{ name: 'operators', addresses: ['192.0.2.0/27'] }];
  const next = compile({ ...document, addressSets }, options, compiled);
  expect(next.rules).toBe(compiled.rules);
  expect(next.objects).toBe(compiled.objects);
  expect(next.policy).not.toBe(compiled.policy);
  const changes = diffCompiled(compiled, next);
  expect([changes.empty, changes.rules.removed, changes.rules.added]).toEqual([false, [], []]);
  const [group] = document.securityGroups;
  const loose = { ...group!, stateful: false };
  const groups = [loose, ...document.securityGroups.slice(1)];
  const again = compile({ ...document, securityGroups: groups }, options, compiled);
  expect(again.rules).not.toBe(compiled.rules);
  expect(again.policy).toEqual(
    new TestNetwork({ ...document, securityGroups: groups }, 'h1', numbering).compiled.policy,
  );
});
