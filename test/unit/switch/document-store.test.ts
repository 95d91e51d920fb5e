// switch/document-store.test.ts — what was applied comes back, or the reason why not is said.

import { chmodSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { SwitchError } from '../../../src/lib/errors.ts';
import { parseDocument } from '../../../src/model/parse.ts';
import { DocumentStore } from '../../../src/switch/document-store.ts';

const document = parseDocument('hosts: [{ name: h1, tunnelIp: 172.31.1.1 }]');
const numbers = { devices: { p1: 3 } };

let directory: string;
let file: string;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'vtepd-store-'));
  file = join(directory, 'state.json');
});
afterEach(() => {
  chmodSync(directory, 0o700);
  rmSync(directory, { recursive: true });
});

describe('the document store', () => {
  it('has nothing at revision 0 in a directory that it makes', async () => {
    const { store, stored } = await DocumentStore.open(join(directory, 'new', 'state'));
    expect(stored).toMatchObject({ revision: 0, numbers: {}, document: { hosts: [], ports: [] } });
    expect(store.trouble).toBeUndefined();
  });

  it('gives back what was saved, numbers too, to the next one', async () => {
    const { store } = await DocumentStore.open(directory);
    await store.save({ revision: 4, document, numbers });
    const next = await DocumentStore.open(directory);
    expect(next.stored).toEqual({ revision: 4, document, numbers });
  });

  it('leaves one file behind, whatever an earlier write left', async () => {
    writeFileSync(join(directory, 'state.json.123-1.tmp'), 'half');
    const { store } = await DocumentStore.open(directory);
    await store.save({ revision: 1, document, numbers });
    await store.save({ revision: 2, document, numbers });
    expect(readdirSync(directory)).toEqual(['state.json']);
  });

  it.each([
    ['half a file', '{ "revision": 1, "docu'],
    ['no revision', '{ "document": {} }'],
    ['a list', '[]'],
    ['null', 'null'],
    ['a document that is none', '{ "revision": 1, "document": { "ports": 7 } }'],
    ['fields of another version', '{ "revision": 1, "document": { "planets": [] } }'],
  ])('names a damaged file and what to do: %s', async (_what, text) => {
    writeFileSync(file, text);
    await expect(DocumentStore.open(directory)).rejects.toMatchObject({
      code: 'ERR_STATE_UNWRITABLE',
      message: expect.stringContaining(`${file} is damaged: `),
      remedy: expect.stringContaining('apply the document again'),
    });
    expect(readFileSync(file, 'utf8'), 'it is left for its owner to look at').toBe(text);
  });

  it('refuses a path that can be no directory', async () => {
    writeFileSync(file, '');
    await expect(DocumentStore.open(file)).rejects.toMatchObject({ code: 'ERR_STATE_UNWRITABLE' });
  });

  it('says so when a write fails, keeps what was there, and is well again later', async () => {
    const { store } = await DocumentStore.open(directory);
    await store.save({ revision: 1, document, numbers });
    rmSync(directory, { recursive: true });
    writeFileSync(directory, 'a file where the directory was');
    await expect(store.save({ revision: 2, document, numbers })).rejects.toThrow(SwitchError);
    expect(store.trouble).toMatchObject({ code: 'ERR_STATE_UNWRITABLE' });
    rmSync(directory);
    const again = await DocumentStore.open(directory);
    await again.store.save({ revision: 2, document, numbers });
    await store.save({ revision: 3, document, numbers });
    expect(store.trouble).toBeUndefined();
    expect((await DocumentStore.open(directory)).stored.revision).toBe(3);
  });
});
