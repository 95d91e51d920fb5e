// model/parse.test.ts — documents in, Document or every reason out.

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { parse as parseYaml } from 'yaml';
import { renderProblem, SwitchError } from '../../../src/lib/errors.ts';
import { checkDocument } from '../../../src/model/check.ts';
import type { Document } from '../../../src/model/document.ts';
import { documentFromValue, parseDocument, stringifyDocument } from '../../../src/model/parse.ts';
import { inputBytesMax } from '../../../src/model/source.ts';
import { arbitraryDocument, leafPaths, setAt } from './arbitrary-document.ts';
import { readCases } from './wrong-cases.ts';

const fixtures = join(import.meta.dirname, '../../fixtures/documents');

function refusal(call: () => unknown): SwitchError {
  try {
    call();
  } catch (error) {
    if (error instanceof SwitchError) return error;
    throw error;
  }
  throw new Error('the document was accepted');
}

describe.each(['wrong-fields.txt', 'wrong-together.txt'])('%s', (name) => {
  const cases = readCases(readFileSync(join(fixtures, name), 'utf8'));

  test.each(cases)('$name is refused, and the message says where and why', ({ text, problems }) => {
    const error = refusal(() => parseDocument(text));
    expect(error.code).toBe('ERR_DOCUMENT_INVALID');
    expect(error.problems.map(renderProblem)).toEqual(problems);
  });
});

describe('a document as text', () => {
  test('the file stands before line and column', () => {
    const error = refusal(() => parseDocument('hosts:\n  - { name: h1 }\n', 'net.yaml'));
    expect(error.message).toBe('the document net.yaml is refused: one problem');
    expect(error.problems.map(renderProblem)).toEqual([
      'net.yaml:2:5: hosts[0].tunnelIp: the field is missing; ' +
        'expected a unicast IPv4 or IPv6 address such as 10.0.0.1 or fd00::1',
    ]);
  });

  test('all problems are reported at once, in the order of the text', () => {
    const text = 'ports: 3\nnetworks:\n  - { name: 1, vni: x }\nfoo: 1\nhosts: [{}]\n';
    const lines = refusal(() => parseDocument(text)).problems.map(({ line, path }) => [line, path]);
    expect(lines).toEqual([
      [1, 'ports'],
      [3, 'networks[0].name'],
      [3, 'networks[0].vni'],
      [4, 'foo'],
      [5, 'hosts[0].name'],
      [5, 'hosts[0].tunnelIp'],
    ]);
  });

  test('JSON problems have lines as well', () => {
    const text = '{\n  "networks": [\n    { "name": "blue",\n      "vni": 0 }\n  ]\n}\n';
    expect(refusal(() => parseDocument(text, 'net.json')).problems).toEqual([
      {
        file: 'net.json',
        line: 4,
        column: 14,
        path: 'networks[0].vni',
        message: 'found 0',
        expected: 'a VNI from 1 to 16777215',
      },
    ]);
  });

  test('a problem behind an alias is placed at the anchored text', () => {
    const text = 'hosts: &all\n  - { name: h1, tunnelIp: x }\nnetworks: *all\n';
    const { problems } = refusal(() => parseDocument(text));
    expect(problems.map(({ line, path }) => `${line} ${path}`)).toContain('2 hosts[0].tunnelIp');
    expect(problems.every(({ line }) => line !== undefined)).toBe(true);
  });

  test('anchors may be used to say something once', () => {
    const text = `hosts: [{ name: h1, tunnelIp: 10.9.0.1 }]
networks: [{ name: blue, vni: 1 }]
ports:
  - { name: a, network: blue, host: h1, device: a, mac: 2-1, qos: &limit { egress: 1gbit } }
  - { name: b, network: blue, host: h1, device: b, mac: 2-2, qos: *limit }
`.replace(/2-(\d)/g, '02:00:00:00:00:0$1');
    expect(parseDocument(text).ports.map((port) => port.qos?.egress)).toEqual(['1gbit', '1gbit']);
  });

  test('a byte order mark and Windows line ends change nothing', () => {
    const text = 'networks:\n  - { name: blue, vni: 1 }\n';
    const other = Buffer.from(`\uFEFF${text.replaceAll('\n', '\r\n')}`);
    expect(parseDocument(other)).toEqual(parseDocument(text));
  });

  test('text that is not UTF-8 is refused at its line', () => {
    const bytes = Buffer.concat([Buffer.from('hosts: []\n# '), Buffer.from([0xff, 0x0a])]);
    const [problem] = refusal(() => parseDocument(bytes, 'net.yaml')).problems;
    expect(problem).toMatchObject({ line: 2, message: 'the line is not UTF-8' });
  });

  test('input over the limit is refused before it is read', () => {
    const error = refusal(() => parseDocument(Buffer.alloc(inputBytesMax + 1, '#')));
    expect(error.problems.map(renderProblem)).toEqual([
      'the input has 16777217 bytes; expected at most 16777216 bytes',
    ]);
  });

  test('aliases that expand without end are refused quickly', () => {
    const levels = Array.from({ length: 12 }, (_, level) =>
      level === 0 ? 'a0: &a0 [x, x, x]' : `a${level}: &a${level} [${`*a${level - 1},`.repeat(9)}]`,
    );
    const error = refusal(() => parseDocument(levels.join('\n')));
    expect(error.problems[0]?.message).toBe('aliases are used too often');
  });

  test('few aliases of much are counted by what they expand to', () => {
    const list = `[${'x,'.repeat(10_000)}]`;
    const text = `a: &a ${list}\nb: [${'*a,'.repeat(900)}]\n`;
    const error = refusal(() => parseDocument(text));
    expect(error.problems[0]?.message).toBe('aliases expand to too much');
  });

  test('a value that contains itself is refused', () => {
    const error = refusal(() => parseDocument('hosts: &a [*a]\n'));
    expect(error.problems.length).toBeGreaterThan(0);
  });

  test.each([
    ['brackets', '['.repeat(500_000)],
    ['mappings', '{a: '.repeat(500_000)],
    ['dashes', '- '.repeat(500_000)],
    ['question marks', '? '.repeat(500_000)],
    ['quotes between brackets', '["]",'.repeat(200_000)],
    [
      'indentation',
      Array.from({ length: 2000 }, (_, depth) => `${' '.repeat(depth)}a:`).join('\n'),
    ],
  ])('endless %s are refused by their line, not by a crash', (_, text) => {
    const [problem, ...more] = refusal(() => parseDocument(`hosts: []\nports: ${text}`)).problems;
    expect(problem?.message).toBe('the text is nested too deeply');
    expect(problem?.line).toBeGreaterThan(1);
    expect(more).toEqual([]);
  });

  test('endless JSON is refused as well, without a place', () => {
    const text = `{"hosts": ${'['.repeat(100_000)}${']'.repeat(100_000)}, "zz": 1}`;
    const { problems } = refusal(() => parseDocument(text));
    expect(problems.map(({ path }) => path)).toEqual(['hosts[0]', 'zz']);
  });

  test('aliases that build a deep value are refused', () => {
    const chain = Array.from({ length: 9000 }, (_, level) =>
      level === 0 ? 'a0: &a0 [x]' : `a${level}: &a${level} [*a${level - 1}]`,
    );
    expect(refusal(() => parseDocument(chain.join('\n'))).problems.length).toBeGreaterThan(0);
  });

  test('a text of nothing but wrong fields lists the first thousand and counts the rest', () => {
    const text = `networks:\n${'  - { vni: 0, name: a }\n'.repeat(1500)}`;
    const { problems } = refusal(() => parseDocument(text));
    expect(problems).toHaveLength(1001);
    expect(problems[999]?.line).toBe(1001);
    expect(problems[1000]?.message).toBe('there are 500 problems more');
  });
});

describe('a document as a value', () => {
  test('defaults are filled in and addresses have one form', () => {
    const document = documentFromValue({
      hosts: [{ name: 'h1', tunnelIp: 'FD00:0:0::1' }],
      networks: [{ name: 'blue', vni: 1, learning: true }],
      subnets: [{ name: 's', network: 'blue', cidr: 'FD00:1::/64' }],
      ports: [{ name: 'a', network: 'blue', host: 'h1', device: 'a', mac: '02-AA-00-00-00-01' }],
      securityGroups: [{ name: 'g', rules: [{ direction: 'egress', protocol: 'tcp', ports: 80 }] }],
    });
    expect(document).toEqual({
      hosts: [{ name: 'h1', tunnelIp: 'fd00::1', kind: 'vtepd', networks: [] }],
      networks: [
        {
          name: 'blue',
          vni: 1,
          encap: 'vxlan',
          mtu: 1450,
          learning: { limitPerPort: 1024, agingSeconds: 300 },
        },
      ],
      subnets: [{ name: 's', network: 'blue', cidr: 'fd00:1::/64' }],
      routers: [],
      securityGroups: [
        {
          name: 'g',
          rules: [{ direction: 'egress', protocol: 'tcp', ports: '80' }],
          stateful: true,
        },
      ],
      addressSets: [],
      acls: [],
      ports: [
        {
          name: 'a',
          network: 'blue',
          host: 'h1',
          device: 'a',
          mac: '02:aa:00:00:00:01',
          ips: [],
          mode: 'auto',
          portSecurity: true,
          allowedAddressPairs: [],
          securityGroups: [],
        },
      ],
    });
  });

  test('problems of a value have paths but no lines', () => {
    const { problems } = refusal(() => documentFromValue({ networks: [{ name: 'a', vni: -1 }] }));
    expect(problems).toEqual([
      { path: 'networks[0].vni', message: 'found -1', expected: 'a VNI from 1 to 16777215' },
    ]);
  });

  test.each([[undefined], [null], [1], ['x'], [[]]])('%j is refused', (value) => {
    expect(refusal(() => documentFromValue(value)).problems.length).toBeGreaterThan(0);
  });
});

describe('any document', () => {
  test('generated documents are right (otherwise what follows says nothing)', () => {
    fc.assert(fc.property(arbitraryDocument, (document) => checkDocument(document).length === 0));
  });

  test('comes back equal from YAML and from JSON', () => {
    fc.assert(
      fc.property(arbitraryDocument, fc.constantFrom('yaml', 'json'), (document, format) => {
        const text = stringifyDocument(document, format as 'yaml' | 'json');
        expect(parseDocument(text)).toEqual(document);
      }),
      { numRuns: 150 },
    );
  });

  test('with one field replaced is refused with line and field, or is another document', () => {
    const wrong = fc.constantFrom<unknown>(
      null,
      true,
      -1,
      1.5,
      '',
      '???',
      [],
      {},
      ['x'],
      99_999_999,
    );
    fc.assert(
      fc.property(arbitraryDocument, fc.nat(), wrong, (document, pick, value) => {
        const paths = leafPaths(document);
        const path = paths[pick % paths.length];
        if (path === undefined) return;
        const text = stringifyDocument(setAt(document, path, value) as Document);
        expectRefusedOrOther(text, document);
      }),
      { numRuns: 400 },
    );
  });

  test('with an unknown field is refused at that field', () => {
    fc.assert(
      fc.property(arbitraryDocument, fc.nat(), (document, pick) => {
        const objects = leafPaths(document).map((path) => path.slice(0, 2));
        const path = objects[pick % objects.length];
        if (path === undefined) return;
        const text = stringifyDocument(setAt(document, [...path, 'zz'], 1) as Document);
        const { problems } = refusal(() => parseDocument(text));
        const line = text.split('\n').findIndex((content) => content.trim().startsWith('zz:')) + 1;
        expect(problems).toMatchObject([{ line, path: `${path[0]}[${path[1]}].zz` }]);
      }),
      { numRuns: 100 },
    );
  });

  test('never makes the parser throw anything but a refusal, whatever the text', () => {
    const piece = fc.constantFrom(
      'hosts:',
      '- ',
      '{',
      '}',
      '[',
      ']',
      'name: a',
      '&a',
      '*a',
      ': ',
      '\n  ',
      '"',
      '---',
      '#',
      '\t',
      '!x ',
      '|',
      '? ',
      ',',
      '0x1',
      '~',
    );
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 30 }), (pieces) => {
        const text = pieces.join('');
        try {
          parseDocument(text);
        } catch (error) {
          if (!(error instanceof SwitchError)) throw error;
          expect(error.problems.length).toBeGreaterThan(0);
        }
      }),
      { numRuns: 2000 },
    );
  });
});

function expectRefusedOrOther(text: string, document: Document): void {
  let parsed: Document;
  try {
    parsed = parseDocument(text, 'net.yaml');
  } catch (error) {
    if (!(error instanceof SwitchError)) throw error;
    expect(error.problems.length).toBeGreaterThan(0);
    for (const problem of error.problems) {
      expect(problem.path).not.toBe('');
      expect(problem.line).toBeGreaterThan(0);
      expect(problem.column).toBeGreaterThan(0);
    }
    return;
  }
  // `null` for an optional field would be accepted silently: it must not be.
  const meant = documentFromValue(parseYaml(text));
  expect(parsed).toEqual(meant);
  if (JSON.stringify(parsed) === JSON.stringify(document)) {
    expect(parseYaml(text)).toEqual(parseYaml(stringifyDocument(document)));
  }
}
