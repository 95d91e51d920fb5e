// model/examples.test.ts — every file of examples/ is right, and says what it claims to say.

import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { parseConfig } from '../../../src/model/config.ts';
import { notInForce } from '../../../src/model/coverage.ts';
import { type Document, documentKinds } from '../../../src/model/document.ts';
import { parseDocument } from '../../../src/model/parse.ts';

const directory = join(import.meta.dirname, '../../../examples');
const configName = 'vtepd.yaml';

function example(name: string): Document {
  return parseDocument(readFileSync(join(directory, name)), name);
}

describe('examples', () => {
  const names = readdirSync(directory).filter((name) => name.endsWith('.yaml'));

  test('the documents that the README and the quickstart use are there', () => {
    expect(names).toEqual(
      expect.arrayContaining(['two-hosts.yaml', 'three-tier.yaml', 'trunk.yaml', configName]),
    );
  });

  test.each(names.filter((name) => name !== configName))('%s parses and checks clean', (name) => {
    const document = example(name);
    expect(document.ports.length).toBeGreaterThan(0);
  });

  test('the two tenants of two-hosts.yaml use the same addresses on both hosts', () => {
    const { ports } = example('two-hosts.yaml');
    const addressesOf = (network: string) =>
      ports.filter((port) => port.network === network).map((port) => `${port.host} ${port.ips}`);
    expect(addressesOf('blue')).toEqual(['h1 10.0.0.1', 'h2 10.0.0.2']);
    expect(addressesOf('red')).toEqual(addressesOf('blue'));
    expect(notInForce(example('two-hosts.yaml'))).toEqual([]);
  });

  test('trunk.yaml puts one logical port on each VLAN of a device', () => {
    const onTrunk = example('trunk.yaml').ports.filter((port) => port.device === 't1');
    expect(onTrunk.map((port) => port.vlan)).toEqual([undefined, 10, 20, 30]);
  });

  test('all of routing.yaml is in force', () => {
    expect(notInForce(example('routing.yaml'))).toEqual([]);
  });

  test('together the examples use every section of a document', () => {
    const documents = names.filter((name) => name !== configName).map(example);
    for (const kind of documentKinds) {
      expect(
        documents.some((document) => document[kind].length > 0),
        kind,
      ).toBe(true);
    }
  });

  test('vtepd.yaml shows the defaults', () => {
    const shown = parseConfig(readFileSync(join(directory, configName)), configName);
    expect(shown).toEqual(parseConfig('host: h1'));
  });
});
