// control/unix-socket.ts — a unix socket that nobody may reach before its permissions are right.
//
// A socket file outlives a killed process: it is removed only after nobody answered at it. The file
// is born without rights for others (umask), then gets its group, then its mode.

import { chmod, chown, lstat, mkdir, unlink } from 'node:fs/promises';
import { connect, type Server } from 'node:net';
import { dirname } from 'node:path';
import { SwitchError, systemErrorCode } from '../lib/errors.ts';
import { groupId } from './groups.ts';

export interface SocketPlace {
  readonly path: string;
  /** Permission bits. */
  readonly mode: number;
  /** Group that owns the socket, by name or number. */
  readonly group?: string;
}

const directoryMode = 0o755;
const ownerOnly = 0o177;
const probeTimeoutMs = 1000;

/**
 * Makes a server listen at a path.
 * @throws SwitchError ERR_BUSY when another process serves it, ERR_CONFIG_INVALID for a path or
 *   group that cannot be, ERR_PERMISSION
 */
export async function listenAt(server: Server, place: SocketPlace): Promise<void> {
  const { path, mode, group } = place;
  const owner = group === undefined ? undefined : await requiredGroup(group);
  try {
    await makeDirectory(dirname(path));
    await removeStale(path);
    await bind(server, path);
    if (owner !== undefined) await giveTo(path, owner, group);
    await chmod(path, mode);
  } catch (error) {
    throw explained(path, error);
  }
}

/** The last folder only: what is above it belongs to the system. */
async function makeDirectory(path: string): Promise<void> {
  try {
    await mkdir(path, { mode: directoryMode });
  } catch (error) {
    if (systemErrorCode(error) !== 'EEXIST') throw error;
  }
}

async function requiredGroup(group: string): Promise<number> {
  const id = await groupId(group);
  if (id !== undefined) return id;
  throw new SwitchError('ERR_CONFIG_INVALID', `control.group: there is no group "${group}" here`, {
    remedy: `Create it with "groupadd ${group}", or name another one.`,
  });
}

async function giveTo(path: string, owner: number, group = ''): Promise<void> {
  try {
    await chown(path, -1, owner);
  } catch (cause) {
    throw new SwitchError('ERR_PERMISSION', `cannot give ${path} to the group ${group}`, {
      cause,
      remedy: 'Give vtepd the capability CAP_CHOWN, or run it as a member of that group.',
    });
  }
}

function bind(server: Server, path: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    // The bind happens inside listen(): nothing else of this process runs under the umask.
    const before = process.umask(ownerOnly);
    try {
      server.listen({ path }, () => {
        server.off('error', reject);
        resolve();
      });
    } finally {
      process.umask(before);
    }
  });
}

async function removeStale(path: string): Promise<void> {
  const found = await lstat(path).catch((error: unknown) => {
    if (systemErrorCode(error) === 'ENOENT') return undefined;
    throw error;
  });
  if (found === undefined) return;
  if (!found.isSocket()) {
    throw new SwitchError('ERR_CONFIG_INVALID', `${path} is there already and is no socket`, {
      remedy: 'Remove it, or name another path for the socket.',
    });
  }
  if (await isServed(path)) throw busy(path);
  await unlink(path);
}

/** True when somebody accepts connections at the socket. */
export function isServed(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ path });
    const answer = (served: boolean) => {
      socket.destroy();
      resolve(served);
    };
    // A full backlog (EAGAIN) or no answer in time: somebody is there, if a slow one.
    socket.setTimeout(probeTimeoutMs, () => answer(true));
    socket.once('connect', () => answer(true));
    socket.once('error', (error) => {
      const code = systemErrorCode(error);
      answer(code !== 'ECONNREFUSED' && code !== 'ENOENT');
    });
  });
}

function busy(path: string): SwitchError {
  return new SwitchError('ERR_BUSY', `another vtepd serves ${path}`);
}

function explained(path: string, error: unknown): unknown {
  const code = systemErrorCode(error);
  if (error instanceof SwitchError || code === undefined) return error;
  if (code === 'EADDRINUSE') return busy(path);
  const isPermission = code === 'EACCES' || code === 'EPERM';
  const remedy = isPermission
    ? 'Run vtepd as a user who may write there, or name another path in control.socket.'
    : 'Name a path in control.socket where a socket can be.';
  return new SwitchError(
    isPermission ? 'ERR_PERMISSION' : 'ERR_CONFIG_INVALID',
    `cannot serve ${path}: ${(error as Error).message}`,
    { cause: error, remedy },
  );
}
