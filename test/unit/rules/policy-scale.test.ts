// rules/policy-scale.test.ts — a hundred thousand rules over a set of ten thousand addresses.
//
// One address more must not cost what the document cost: what has not changed is the same object,
// nothing of it is compiled anew, and only packets of that address are judged again.

import { describe, expect, test } from 'vitest';
import { diffDocuments, withUnchanged } from '../../../src/model/diff.ts';
import type { Document } from '../../../src/model/document.ts';
import { documentFromValue } from '../../../src/model/parse.ts';
import { Pipeline } from '../../../src/pipeline/pipeline.ts';
import { compile, nothingCompiled } from '../../../src/rules/compile.ts';
import { diffCompiled } from '../../../src/rules/diff.ts';
import { Numbering } from '../../../src/rules/numbering.ts';
import { cpuMs } from '../../support/process.ts';

const groupCount = 100;
const rulesEach = 1000;
const memberCount = 10_000;
const addings = 9;
const addingMaxMs = 10;

const address = (number: number) => `10.0.${number >> 8}.${number & 255}`;

function documentOf(members: number): Document {
  const rule = (number: number) => ({
    direction: number % 2 === 0 ? 'egress' : 'ingress',
    protocol: number % 4 < 2 ? 'tcp' : 'udp',
    ports: `${1000 + number * 60}-${1059 + number * 60}`,
    remoteSet: 'all',
  });
  return documentFromValue({
    hosts: [{ name: 'h1', tunnelIp: '172.31.1.1' }],
    networks: [{ name: 'blue', vni: 100 }],
    addressSets: [
      { name: 'all', addresses: Array.from({ length: members }, (_, number) => address(number)) },
    ],
    securityGroups: Array.from({ length: groupCount }, (_, group) => ({
      name: `group${group}`,
      rules: Array.from({ length: rulesEach }, (_, number) => rule(number)),
    })),
    ports: Array.from({ length: groupCount }, (_, port) => ({
      ...{ name: `port${port}`, network: 'blue', host: 'h1', device: `d${port}` },
      mac: `02:00:00:00:00:${port.toString(16).padStart(2, '0')}`,
      ips: [`10.200.0.${port + 1}`],
      securityGroups: [`group${port}`],
    })),
  });
}

describe('a hundred thousand rules over ten thousand addresses', () => {
  const options = { host: 'h1', numbering: new Numbering(), uplinkDevice: 'uplink' };
  let document = documentOf(memberCount);
  let compiled = compile(document, options);
  const pipeline = new Pipeline();
  pipeline.apply(diffCompiled(nothingCompiled, compiled).rules);

  test('are all in force', () => {
    expect(pipeline.policy.ruleCount).toBeGreaterThanOrEqual(groupCount * rulesEach);
  });

  test(`take in one address more in ${addingMaxMs} ms, and touch only its packets`, () => {
    const took: number[] = [];
    for (let number = 0; number < addings; number += 1) {
      const wanted = documentOf(memberCount + number + 1);
      const next = withUnchanged(document, wanted, diffDocuments(document, wanted));
      took.push(
        cpuMs(() => {
          const after = compile(next, options, compiled);
          const effects = pipeline.apply(diffCompiled(compiled, after).rules);
          expect(effects.everything).toBe(false);
          expect(effects.prefixes.map(({ bytes }) => bytes.join('.'))).toEqual([
            address(memberCount + number),
          ]);
          compiled = after;
        }),
      );
      document = next;
    }
    took.sort((one, other) => one - other);
    process.stdout.write(`one address more: ${took.map((ms) => ms.toFixed(1)).join(' ')} ms\n`);
    expect(took[addings >> 1]).toBeLessThanOrEqual(addingMaxMs);
  });
});
