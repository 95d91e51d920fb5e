// rules/diff.test.ts — applying a difference gives what a full compile gives, and no more changes.

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Document } from '../../../src/model/document.ts';
import { Pipeline } from '../../../src/pipeline/pipeline.ts';
import { sameRule } from '../../../src/pipeline/rule.ts';
import { Translation, translate } from '../../../src/pipeline/translate.ts';
import { type Compiled, compile, nothingCompiled } from '../../../src/rules/compile.ts';
import { diffCompiled } from '../../../src/rules/diff.ts';
import { Numbering } from '../../../src/rules/numbering.ts';
import { arbitraryPacket } from './arbitrary-packet.ts';
import { example, TestNetwork } from './network.ts';

const trunk = example('trunk.yaml');
const options = (numbering: Numbering) => ({ host: 'h1', numbering, uplinkDevice: 'uplink0' });

/** The document without some of its ports, and with some networks changed. */
const variants: fc.Arbitrary<Document> = fc
  .record({
    ports: fc.subarray([...trunk.ports]),
    reversed: fc.boolean(),
    mtu: fc.constantFrom(1430, 1300),
    learning: fc.boolean(),
    secured: fc.boolean(),
  })
  .map(({ ports, reversed, mtu, learning, secured }) => ({
    ...trunk,
    networks: trunk.networks.map((network) => ({
      ...network,
      mtu,
      learning: learning && network.learning,
    })),
    ports: (reversed ? [...ports].reverse() : ports).map((port) => ({
      ...port,
      portSecurity: secured && port.portSecurity,
    })),
  }));

describe('applying differences', () => {
  test('one after the other gives the verdicts of a full compile', () => {
    const network = new TestNetwork(trunk, 'h1');
    const packets = fc.array(arbitraryPacket(trunk, network), { minLength: 20 });
    fc.assert(
      fc.property(fc.array(variants, { minLength: 1, maxLength: 4 }), packets, (steps, keys) => {
        const { numbering } = network;
        const pipeline = new Pipeline();
        let now: Compiled = nothingCompiled;
        for (const document of steps) {
          const wanted = compile(document, options(numbering));
          pipeline.apply(diffCompiled(now, wanted).rules);
          now = wanted;
        }
        const full = new Pipeline([...now.rules.values()]);
        expect(pipeline.ruleCount).toBe(full.ruleCount);
        for (const rule of full.rules()) {
          const other = pipeline.rule(rule.id);
          if (other === undefined || !sameRule(rule, other)) throw new Error(`${rule.id} differs`);
        }
        const [one, two] = [new Translation(), new Translation()];
        for (const key of keys) {
          translate(pipeline, key, 0, one);
          translate(full, key, 0, two);
          expect(one.actions).toEqual(two.actions);
          expect(one.mask.subarray(0, 28)).toEqual(two.mask.subarray(0, 28));
          one.actions.fill(0);
          two.actions.fill(0);
        }
      }),
      { numRuns: 40 },
    );
  });

  test('of the same document, in whatever order, is empty', () => {
    const numbering = new Numbering();
    const one = compile(trunk, options(numbering));
    const two = compile({ ...trunk, ports: [...trunk.ports].reverse() }, options(numbering));
    const { rules } = diffCompiled(one, two);
    expect(rules.added.map(({ id }) => id)).toEqual([]);
  });
});

describe('a difference', () => {
  const numbering = new Numbering();
  const before = compile(trunk, options(numbering));

  test('names what came, what went and what changed', () => {
    const ports = trunk.ports.filter(({ name }) => name !== 'red2' && name !== 'vm-red');
    const after = compile({ ...trunk, ports }, options(numbering));
    const changes = diffCompiled(before, after);
    expect(changes.empty).toBe(false);
    expect([...changes.networks.removed.keys()]).toEqual(['red']);
    expect([...changes.groups.removed.keys()]).toEqual(['red/local', 'red/all']);
    expect(changes.ports.removed.size).toBe(0);
    expect(changes.tunnels.removed.size).toBe(0);
    const ids = changes.rules.removed.map(({ id }) => id);
    expect(ids).toContain('port-mac/vm-red/02:00:00:00:02:0a');
    expect(changes.rules.added).toEqual([]);
  });

  test('of a new member touches its group and leaves rules that flood alone', () => {
    const two = example('two-hosts.yaml');
    const three = {
      ...two,
      hosts: [...two.hosts, { ...two.hosts[0]!, name: 'h3', tunnelIp: '172.31.1.3' }],
      ports: [
        ...two.ports,
        {
          ...two.ports[1]!,
          name: 'blue3',
          mac: '02:00:00:00:01:03',
          ips: ['10.0.0.3'],
          host: 'h3',
        },
      ],
    };
    const names = new Numbering();
    const changes = diffCompiled(compile(two, options(names)), compile(three, options(names)));
    expect([...changes.groups.put.keys()]).toEqual(['blue/all']);
    expect([...changes.tunnels.put.keys()]).toEqual(['h3/vxlan']);
    expect(changes.rules.removed).toEqual([]);
    expect(changes.rules.added.every(({ id }) => /blue3|h3/.test(id))).toBe(true);
  });

  test('of a changed endpoint says so', () => {
    const hosts = trunk.hosts.map((host) =>
      host.name === 'h1' ? { ...host, tunnelIp: 'fd00:172:31::7' } : host,
    );
    const changes = diffCompiled(before, compile({ ...trunk, hosts }, options(numbering)));
    expect(changes.endpointsChanged).toBe(true);
    expect(changes.tunnels.put.size).toBe(2);
  });
});
