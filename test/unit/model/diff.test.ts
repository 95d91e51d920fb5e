// model/diff.test.ts — what changes between two documents, and what only looks like a change.

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { diffDocuments, renderDiff, revisionOf, withUnchanged } from '../../../src/model/diff.ts';
import { type Document, documentKinds, emptyDocument } from '../../../src/model/document.ts';
import { documentFromValue } from '../../../src/model/parse.ts';
import { arbitraryDocument } from './arbitrary-document.ts';

const base = {
  hosts: [{ name: 'h1', tunnelIp: '172.31.1.1' }],
  networks: [
    { name: 'blue', vni: 100 },
    { name: 'red', vni: 200 },
  ],
  securityGroups: [{ name: 'web' }, { name: 'db' }],
  ports: [port('c2', {}), port('c1', { securityGroups: ['web', 'db'] })],
};

function port(name: string, fields: object): object {
  const number = name.slice(1);
  const mac = `02:00:00:00:00:0${number}`;
  return {
    name,
    network: 'blue',
    mac,
    host: 'h1',
    device: name,
    ips: [`10.0.0.${number}`],
    ...fields,
  };
}

describe('the difference', () => {
  test('is empty for equal documents', () => {
    const from = documentFromValue(base);
    expect(diffDocuments(from, documentFromValue(base))).toEqual([]);
    expect(renderDiff([])).toBe('');
  });

  test('of rules and of long lists tells the entries that differ', () => {
    const tcp = (ports: string) => ({ direction: 'ingress', protocol: 'tcp', ports });
    const addresses = Array.from({ length: 20 }, (_, index) => `192.0.2.${index}`);
    const with_ = (rules: object[], members: string[]) =>
      documentFromValue({
        ...base,
        securityGroups: [
          ...base.securityGroups,
          { name: 'app', rules: [{ direction: 'egress' }, ...rules] },
        ],
        addressSets: [{ name: 'many', addresses: members }],
      });
    const one = with_([tcp('8080-8089'), tcp('22')], addresses);
    const other = with_([tcp('22'), tcp('8085')], [...addresses.slice(1), '192.0.2.99']);
    expect(renderDiff(diffDocuments(one, other))).toBe(`~ security group app
    rules: - { direction: ingress, ports: 8080-8089, protocol: tcp }
    rules: + { direction: ingress, ports: 8085, protocol: tcp }
~ address set many
    addresses: - 192.0.2.0
    addresses: + 192.0.2.99
`);
  });

  test('names what was added, removed and changed, sorted by section and name', () => {
    const to = {
      ...base,
      networks: [
        { name: 'blue', vni: 100, mtu: 1400, learning: true },
        { name: 'green', vni: 300, encap: 'geneve' },
      ],
      ports: [
        port('c1', { securityGroups: ['web'], qos: { ingress: '100000kbit' } }),
        port('c3', { ips: ['10.0.0.3', 'fd00::3'] }),
      ],
    };
    const changes = diffDocuments(documentFromValue(base), documentFromValue(to));
    expect(changes.map(({ kind, name, change }) => `${change} ${kind} ${name}`)).toEqual([
      'changed networks blue',
      'added networks green',
      'removed networks red',
      'changed ports c1',
      'removed ports c2',
      'added ports c3',
    ]);
    expect(changes[3]?.fields).toEqual([
      { field: 'qos.ingress', from: undefined, to: '100mbit' },
      { field: 'securityGroups', from: ['db', 'web'], to: ['web'] },
    ]);
    expect(renderDiff(changes)).toBe(`~ network blue
    learning: false -> (none)
    learning.agingSeconds: (none) -> 300
    learning.limitPerPort: (none) -> 1024
    mtu: 1450 -> 1400
+ network green
    encap: geneve
    learning: false
    mtu: 1450
    vni: 300
- network red
~ port c1
    qos.ingress: (none) -> 100mbit
    securityGroups: [db, web] -> [web]
- port c2
+ port c3
    allowedAddressPairs: []
    device: c3
    host: h1
    ips: [10.0.0.3, fd00::3]
    mac: 02:00:00:00:00:03
    mode: auto
    network: blue
    portSecurity: true
    securityGroups: []
`);
  });

  test('sees the order of addresses and rules, but not that of sections and of names', () => {
    const rules = [{ direction: 'egress' }, { direction: 'ingress', protocol: 'tcp' }];
    const withRules = (list: object[]) =>
      documentFromValue({ securityGroups: [{ name: 'web', rules: list }] });
    expect(diffDocuments(withRules(rules), withRules([...rules].reverse()))).toHaveLength(1);
    const reordered = {
      ...base,
      networks: [...base.networks].reverse(),
      ports: [port('c1', { securityGroups: ['db', 'web'] }), port('c2', {})],
    };
    expect(diffDocuments(documentFromValue(base), documentFromValue(reordered))).toEqual([]);
    expect(revisionOf(documentFromValue(reordered))).toBe(revisionOf(documentFromValue(base)));
  });

  test('an empty qos is the same as none', () => {
    const to = { ...base, ports: [port('c2', { qos: {} }), base.ports[1]] };
    expect(diffDocuments(documentFromValue(base), documentFromValue(to))).toEqual([]);
    expect(revisionOf(documentFromValue(to))).toBe(revisionOf(documentFromValue(base)));
  });

  test('is empty exactly when the fingerprints are equal', () => {
    const pair = fc.tuple(arbitraryDocument, arbitraryDocument);
    fc.assert(
      fc.property(pair, ([one, other]) => {
        const same = diffDocuments(one, other).length === 0;
        expect(same).toBe(revisionOf(one) === revisionOf(other));
        expect(diffDocuments(one, shuffled(one))).toEqual([]);
      }),
    );
  });

  test('backwards swaps added with removed and from with to', () => {
    fc.assert(
      fc.property(arbitraryDocument, arbitraryDocument, (one, other) => {
        const swap = { added: 'removed', removed: 'added', changed: 'changed' } as const;
        const backwards = diffDocuments(other, one).map((object) => ({
          ...object,
          change: swap[object.change],
          fields: object.fields.map(({ field, from, to }) => ({ field, from: to, to: from })),
        }));
        expect(backwards).toEqual(diffDocuments(one, other));
      }),
    );
  });

  test('from nothing is everything', () => {
    fc.assert(
      fc.property(arbitraryDocument, (document) => {
        const count = documentKinds.reduce((sum, kind) => sum + document[kind].length, 0);
        const changes = diffDocuments(emptyDocument, document);
        expect(changes).toHaveLength(count);
        expect(changes.every(({ change }) => change === 'added')).toBe(true);
      }),
    );
  });
});

test('the fingerprint is stable from version to version: state on disk holds it', () => {
  expect(revisionOf(emptyDocument)).toBe(
    'c8db0a8efdaf8c1b1c86d451ecd91cd56b8c9c983da00faaf196c97dd06e9135',
  );
});

test('what later versions have added counts once it says something', () => {
  const groups = (stateful: boolean) =>
    documentFromValue({ securityGroups: [{ name: 'web', stateful }] });
  expect(revisionOf(groups(true))).not.toBe(revisionOf(groups(false)));
  const acl = { name: 'a', priority: 1, action: 'drop', direction: 'egress' };
  expect(revisionOf(documentFromValue({ acls: [acl] }))).not.toBe(revisionOf(emptyDocument));
});

test('what no change names is the object that was there before', () => {
  const before = documentFromValue({
    securityGroups: [{ name: 'a' }, { name: 'b' }],
    addressSets: [{ name: 's' }],
  });
  const after = documentFromValue({
    securityGroups: [{ name: 'b' }, { name: 'a', stateful: false }, { name: 'c' }],
    addressSets: [{ name: 's' }],
  });
  const shared = withUnchanged(before, after, diffDocuments(before, after));
  expect(shared).toEqual(after);
  expect(shared.addressSets).toBe(before.addressSets);
  expect(shared.securityGroups[0]).toBe(before.securityGroups[1]);
  expect(shared.securityGroups[1]).toBe(after.securityGroups[1]);
});

function shuffled(document: Document): Document {
  const reversed = documentKinds.map((kind) => [kind, [...document[kind]].reverse()]);
  return Object.fromEntries(reversed) as Document;
}
