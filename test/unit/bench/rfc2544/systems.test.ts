// bench/rfc2544/systems.test.ts — topology files: the example is right, and what is wrong has a
// line.

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { systems, systemsOf } from '../../../../bench/rfc2544/systems.ts';

const example = join(import.meta.dirname, '../../../../bench/rfc2544/lab.example.yaml');
const folder = mkdtempSync(join(tmpdir(), 'topology-'));
const file = join(folder, 'lab.yaml');
afterAll(() => rmSync(folder, { recursive: true }));

/** What is said of the example after a change. */
function refusal(from: string, to: string): string {
  const text = readFileSync(example, 'utf8');
  expect(text).toContain(from);
  writeFileSync(file, text.replace(from, to));
  try {
    systemsOf(file);
  } catch (error) {
    return (error as Error).message;
  }
  return '';
}

test('the loop is first, and names are unique', () => {
  const names = systems.map(({ name }) => name);
  expect(names[0]).toBe('loop');
  expect(new Set(names).size).toBe(names.length);
});

test('the example names two systems, each with its scenarios', async () => {
  const [loop, vtepd] = systemsOf(example);
  expect(loop).toMatchObject({ name: 'loop' });
  expect(loop!.scenarios).toHaveLength(4);
  expect(vtepd!.scenarios).toEqual(['across-hosts-same-subnet', 'across-hosts-different-subnets']);
  expect(await vtepd!.version()).toBe('0.1.0 on two hosts of rack 7');
  const missing = vtepd!.build('same-host-same-subnet');
  await expect(missing).rejects.toThrow(/system vtepd has no ends for same-host-same-subnet/);
});

test('what is wrong is said with file, line and reason', () => {
  const line = (pattern: string) => {
    const lines = readFileSync(file, 'utf8').split('\n');
    return lines.findIndex((text) => text.includes(pattern)) + 1;
  };
  expect(refusal('device: enp1s0f1', 'device: enp1s0f0')).toContain('both ends are device');
  const mac = refusal('mac: "02:00:00:00:00:02"', 'mac: "02:00:00"');
  expect(mac).toContain(`${file}:${line('"02:00:00"')}: systems[0].ends[1].mac`);
  expect(refusal('ip: 10.0.0.2', 'ip: "fd00::2"')).toMatch(/fd00::2 is of another family/);
  expect(refusal('name: vtepd', 'name: loop')).toContain('another system loop');
  expect(refusal('    ends:\n', '    end:\n')).toMatch(/end/);
  expect(refusal('across-hosts-same-subnet', 'across-the-street')).toMatch(/across-the-street/);
  expect(refusal('systems:', 'systems: [')).toContain(file);
});
