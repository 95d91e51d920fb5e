// cli/document-file.test.ts — a document from a file, from standard input, or from nowhere.

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough, Readable } from 'node:stream';
import { describe, expect, it } from 'vitest';
import { readDocument } from '../../../src/cli/document-file.ts';

const { signal } = new AbortController();
const io = {
  stdout: new PassThrough(),
  stderr: new PassThrough(),
  stdin: Readable.from(['hosts', ': []']),
  env: {},
  signal,
};

describe('readDocument', () => {
  it('reads standard input', async () => {
    expect(await readDocument('-', io)).toEqual({ text: 'hosts: []', name: '(stdin)' });
  });

  it('reads a file, and names it as the user did', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'vtep-document-'));
    const file = join(directory, 'net.yaml');
    writeFileSync(file, 'ports: []');
    expect(await readDocument(file, io)).toEqual({ text: 'ports: []', name: file });
    await expect(readDocument(directory, io)).rejects.toMatchObject({
      code: 'ERR_ARGUMENT_INVALID',
      message: `cannot read ${directory}`,
    });
    rmSync(directory, { recursive: true });
  });
});
