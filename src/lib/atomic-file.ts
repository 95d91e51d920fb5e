// lib/atomic-file.ts — files that are either the old one or the new one, whatever happens between.
//
// Write beside, sync, rename, sync the directory: after a crash, a full disk or a power cut the
// path holds one whole version. Every failure is ERR_STATE_UNWRITABLE, names the path and says why;
// the previous content is untouched then.

import * as fs from 'node:fs/promises';
import * as path from 'node:path';
import { SwitchError, systemErrorCode } from './errors.ts';

const temporarySuffix = '.tmp';

/** Owner reads and writes, group reads: state may name what tenants have. */
const fileModeDefault = 0o640;

const directoryMode = 0o750;

/** The calls that writing needs; tests replace some to fail as a disk would. */
export type FileSystem = Pick<typeof fs, 'open' | 'rename' | 'rm'>;

export interface AtomicFileOptions {
  /** Permission bits of a new file. */
  readonly mode?: number;
  readonly fileSystem?: FileSystem;
}

const reasons: Readonly<Record<string, string>> = {
  ENOSPC: 'there is no space left on the device',
  EDQUOT: 'the disk quota is used up',
  EROFS: 'the file system is read-only',
  EACCES: 'permission is denied',
  EPERM: 'the operation is not permitted',
  ENOENT: 'the directory does not exist',
  ENOTDIR: 'a part of the path is not a directory',
  EISDIR: 'the path is a directory',
  EIO: 'the device reports an error',
};

let temporaryCount = 0;

/**
 * Replaces the content of a file in one step, also on disk.
 * @throws SwitchError ERR_STATE_UNWRITABLE; the old content is still there
 */
export async function writeFileAtomic(
  file: string,
  content: string | Uint8Array,
  options: AtomicFileOptions = {},
): Promise<void> {
  const { mode = fileModeDefault, fileSystem = fs } = options;
  temporaryCount += 1;
  const temporary = `${file}.${process.pid}-${temporaryCount}${temporarySuffix}`;
  try {
    await writeSynced(fileSystem, temporary, content, mode);
    await fileSystem.rename(temporary, file);
    await syncDirectory(fileSystem, path.dirname(file));
  } catch (error) {
    // The error that counts is the first; a temporary file that cannot be removed is swept later.
    await fileSystem.rm(temporary, { force: true }).catch(() => undefined);
    throw unwritable(file, error);
  }
}

async function writeSynced(
  fileSystem: FileSystem,
  file: string,
  content: string | Uint8Array,
  mode: number,
): Promise<void> {
  const handle = await fileSystem.open(file, 'wx', mode);
  try {
    await handle.writeFile(content);
    await handle.sync();
  } finally {
    await handle.close();
  }
}

async function syncDirectory(fileSystem: FileSystem, directory: string): Promise<void> {
  const handle = await fileSystem.open(directory, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/**
 * Makes a state directory ready at start: creates it, removes what an interrupted write left, and
 * proves that it takes a file.
 * @throws SwitchError ERR_STATE_UNWRITABLE
 */
export async function prepareDirectory(directory: string): Promise<void> {
  try {
    await fs.mkdir(directory, { recursive: true, mode: directoryMode });
    for (const entry of await fs.readdir(directory)) {
      if (isTemporary(entry)) await fs.rm(path.join(directory, entry), { force: true });
    }
  } catch (error) {
    throw unwritable(directory, error);
  }
  const probe = path.join(directory, '.writable');
  await writeFileAtomic(probe, `${process.pid}\n`);
  await fs.rm(probe, { force: true });
}

/** Content of a text file, or undefined when there is none. Other failures are thrown as is. */
export async function readFileIfExists(file: string): Promise<string | undefined> {
  try {
    return await fs.readFile(file, 'utf8');
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT') return undefined;
    throw error;
  }
}

function isTemporary(entry: string): boolean {
  return /\.\d+-\d+\.tmp$/.test(entry);
}

function unwritable(file: string, error: unknown): SwitchError {
  const code = systemErrorCode(error);
  const known = code === undefined ? undefined : reasons[code];
  const reason = known ?? (error instanceof Error ? error.message : String(error));
  return new SwitchError('ERR_STATE_UNWRITABLE', `cannot write ${file}: ${reason}`, {
    cause: error,
  });
}
