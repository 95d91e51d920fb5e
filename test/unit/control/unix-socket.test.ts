// control/unix-socket.test.ts — stale sockets, busy ones, and files that are no sockets.

import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { isServed, listenAt } from '../../../src/control/unix-socket.ts';

let directory: string;
let path: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'vtep-socket-'));
  path = join(directory, 'below', 'it.sock');
});
const servers: Server[] = [];
afterEach(async () => {
  for (const server of servers.splice(0)) {
    await new Promise((resolve) => server.close(resolve));
  }
  rmSync(directory, { recursive: true, force: true });
});

function newServer(): Server {
  const server = createServer((socket) => socket.end());
  servers.push(server);
  return server;
}

describe('listenAt', () => {
  it('makes the folder, and a socket with the mode and group', async () => {
    const umask = process.umask();
    await listenAt(newServer(), { path, mode: 0o640, group: `${process.getgid?.()}` });
    const { mode, gid } = statSync(path);
    expect(mode & 0o777).toBe(0o640);
    expect(gid).toBe(process.getgid?.());
    expect(await isServed(path)).toBe(true);
    expect(process.umask()).toBe(umask);
  });

  it('takes the place of a socket that a killed process left', async () => {
    const script = `
      require('fs').mkdirSync(require('path').dirname(process.argv[1]), { recursive: true });
      require('net').createServer().listen(process.argv[1], () =>
        process.kill(process.pid, 'SIGKILL'));`;
    spawnSync(process.execPath, ['-e', script, path]);
    expect(existsSync(path)).toBe(true);
    expect(await isServed(path)).toBe(false);
    await listenAt(newServer(), { path, mode: 0o660 });
    expect(await isServed(path)).toBe(true);
  });

  it('leaves a socket alone that somebody serves', async () => {
    await listenAt(newServer(), { path, mode: 0o660 });
    await expect(listenAt(newServer(), { path, mode: 0o660 })).rejects.toMatchObject({
      code: 'ERR_BUSY',
      message: `another vtepd serves ${path}`,
    });
    expect(await isServed(path)).toBe(true);
  });

  it('never removes a file that is no socket', async () => {
    const file = join(mkdtempSync(join(tmpdir(), 'vtep-socket-')), 'precious');
    writeFileSync(file, 'data');
    await expect(listenAt(newServer(), { path: file, mode: 0o660 })).rejects.toMatchObject({
      code: 'ERR_CONFIG_INVALID',
      message: `${file} is there already and is no socket`,
    });
    expect(existsSync(file)).toBe(true);
    rmSync(join(file, '..'), { recursive: true });
  });

  it('says which path cannot be served', async () => {
    const impossible = '/proc/vtepd/it.sock';
    await expect(listenAt(newServer(), { path: impossible, mode: 0o660 })).rejects.toThrow(
      `cannot serve ${impossible}`,
    );
  });
});
