// lib/atomic-file.test.ts — a file is the old one or the new one, and failures say why.

import * as fs from 'node:fs/promises';
import { tmpdir } from 'node:os';
import * as path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import {
  type FileSystem,
  prepareDirectory,
  readFileIfExists,
  writeFileAtomic,
} from '../../../src/lib/atomic-file.ts';

let directory: string;

beforeEach(async () => {
  directory = await fs.mkdtemp(path.join(tmpdir(), 'vtepd-atomic-'));
});

afterEach(async () => {
  await fs.rm(directory, { recursive: true, force: true });
});

function failure(code: string): Error {
  return Object.assign(new Error(`${code}: as the system says it`), { code });
}

describe('writing a file', () => {
  test('replaces its content and leaves nothing else behind', async () => {
    const file = path.join(directory, 'state.json');
    await writeFileAtomic(file, 'one');
    await writeFileAtomic(file, new Uint8Array([0x74, 0x77, 0x6f]));
    expect(await fs.readFile(file, 'utf8')).toBe('two');
    expect(await fs.readdir(directory)).toEqual(['state.json']);
  });

  test('gives it the permissions that were asked for', async () => {
    const file = path.join(directory, 'state.json');
    await writeFileAtomic(file, 'x', { mode: 0o600 });
    expect((await fs.stat(file)).mode & 0o777).toBe(0o600);
  });

  test('syncs the content before the rename and the directory after it', async () => {
    const steps: string[] = [];
    const fileSystem: FileSystem = {
      rm: fs.rm,
      rename: async (from, to) => {
        steps.push('rename');
        await fs.rename(from, to);
      },
      open: async (name, flags, mode) => {
        const handle = await fs.open(name, flags, mode);
        const sync = handle.sync.bind(handle);
        const what = name === directory ? 'directory' : 'content';
        handle.sync = async () => {
          steps.push(`sync ${what}`);
          await sync();
        };
        return handle;
      },
    };
    await writeFileAtomic(path.join(directory, 'state.json'), 'x', { fileSystem });
    expect(steps).toEqual(['sync content', 'rename', 'sync directory']);
  });

  test('keeps the old content when the disk is full, and says so', async () => {
    const file = path.join(directory, 'state.json');
    await writeFileAtomic(file, 'old');
    const fileSystem: FileSystem = {
      rm: fs.rm,
      rename: fs.rename,
      open: async (name, flags, mode) => {
        const handle = await fs.open(name, flags, mode);
        handle.writeFile = async () => {
          throw failure('ENOSPC');
        };
        return handle;
      },
    };
    await expect(writeFileAtomic(file, 'new', { fileSystem })).rejects.toMatchObject({
      code: 'ERR_STATE_UNWRITABLE',
      message: `cannot write ${file}: there is no space left on the device`,
      cause: { code: 'ENOSPC' },
    });
    expect(await fs.readFile(file, 'utf8')).toBe('old');
    expect(await fs.readdir(directory)).toEqual(['state.json']);
  });

  test('reports the first failure even when cleaning up fails as well', async () => {
    const fileSystem: FileSystem = {
      open: fs.open,
      rename: () => Promise.reject(failure('EROFS')),
      rm: () => Promise.reject(failure('EIO')),
    };
    await expect(writeFileAtomic(path.join(directory, 'x'), 'x', { fileSystem })).rejects.toThrow(
      'the file system is read-only',
    );
  });

  test.each([
    ['nowhere/state.json', 'the directory does not exist'],
    ['plain/state.json', 'a part of the path is not a directory'],
    ['folder', 'the path is a directory'],
  ])('to %s fails: %s', async (name, reason) => {
    await fs.writeFile(path.join(directory, 'plain'), '');
    await fs.mkdir(path.join(directory, 'folder'));
    const file = path.join(directory, name);
    await expect(writeFileAtomic(file, 'x')).rejects.toThrow(`cannot write ${file}: ${reason}`);
    expect((await fs.readdir(directory)).sort()).toEqual(['folder', 'plain']);
  });
});

describe('preparing a directory', () => {
  test('creates it, and sweeps only what interrupted writes left', async () => {
    const state = path.join(directory, 'a/b');
    await prepareDirectory(state);
    await fs.writeFile(path.join(state, 'document.json.123-4.tmp'), 'half');
    await fs.writeFile(path.join(state, 'document.json'), 'whole');
    await fs.writeFile(path.join(state, 'mine.tmp'), 'kept');
    await prepareDirectory(state);
    expect((await fs.readdir(state)).sort()).toEqual(['document.json', 'mine.tmp']);
  });

  test('fails with the path when it cannot be one', async () => {
    const file = path.join(directory, 'file');
    await fs.writeFile(file, '');
    await expect(prepareDirectory(file)).rejects.toMatchObject({
      code: 'ERR_STATE_UNWRITABLE',
      message: expect.stringContaining(file),
    });
  });
});

test('a file that is not there reads as undefined, other failures are thrown', async () => {
  expect(await readFileIfExists(path.join(directory, 'none'))).toBeUndefined();
  await expect(readFileIfExists(directory)).rejects.toThrow('EISDIR');
});
