// control/client.test.ts — every call of the client against the real server, and its absence.

import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ControlClient, DaemonUnreachable } from '../../../src/control/client.ts';
import { documentText, type Served, serveFake } from './fake-switch.ts';

let served: Served;
let client: ControlClient;
beforeAll(async () => {
  served = await serveFake();
  client = new ControlClient(served.socket);
});
afterAll(() => served.close());

describe('the client', () => {
  it('gets what the switch answers', async () => {
    const { api } = served;
    expect((await client.diff(documentText, 'net.yaml')).changes).toHaveLength(5);
    expect((await client.apply(documentText, 'net.yaml')).revision).toBe(2);
    expect(api.files).toEqual(['net.yaml', 'net.yaml']);
    expect(await client.status()).toEqual(api.status());
    expect((await client.document()).document).toEqual(api.documentInForce);
    expect(await client.objects('ports')).toEqual(api.objects('ports'));
    expect(await client.object('ports', 'c1')).toEqual(api.objects('ports', 'c1')[0]);
    expect(await client.flows()).toEqual(api.flows());
    expect((await client.trace('in_port=1')).key).toBe('in_port=1');
    expect(await client.drops()).toEqual(api.drops());
    expect((await client.top()).ports).toHaveLength(2);
  });

  it('gets errors as they were thrown', async () => {
    await expect(client.object('ports', 'a/b c')).rejects.toMatchObject({
      name: 'SwitchError',
      code: 'ERR_NOT_FOUND',
      message: 'there is no object "a/b c" in ports',
    });
    await expect(client.apply('hosts: 7', 'net.yaml')).rejects.toMatchObject({
      code: 'ERR_DOCUMENT_INVALID',
      problems: [{ file: 'net.yaml', line: 1 }],
    });
  });

  it('follows events until it is told to stop', async () => {
    const stop = new AbortController();
    const events = client.watch(stop.signal);
    const first = events.next();
    const event = { timeMs: 5, kind: 'port', name: 'c1', message: 'up, \u00e4' } as const;
    served.api.events.push(event);
    expect((await first).value).toEqual(event);
    const second = events.next();
    stop.abort();
    expect((await second).done).toBe(true);
    await expect.poll(() => served.api.events.isLeft).toBe(true);
  });

  it('says that no vtepd serves a path', async () => {
    const error = await new ControlClient('/nonexistent/control.sock').status().catch((e) => e);
    expect(error).toBeInstanceOf(DaemonUnreachable);
    expect(error.message).toBe('no vtepd serves /nonexistent/control.sock');
  });

  it('says so of a file that is no socket', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'vtep-client-'));
    const file = join(directory, 'file');
    writeFileSync(file, '');
    await expect(new ControlClient(file).status()).rejects.toThrow(`no vtepd serves ${file}`);
    rmSync(directory, { recursive: true });
  });

  it.runIf(process.getuid?.() === 0)('names the group when the socket is not for us', async () => {
    chmodSync(served.directory, 0o755);
    chmodSync(served.socket, 0o660);
    const groups = process.getgroups?.() ?? [];
    const nobody = 65_534;
    process.setgroups?.([]);
    process.setegid?.(nobody);
    process.seteuid?.(nobody);
    try {
      const error = await client.status().catch((thrown) => thrown);
      expect(error).toBeInstanceOf(DaemonUnreachable);
      expect(error).toMatchObject({
        code: 'ERR_PERMISSION',
        message: `you may not use ${served.socket}`,
        remedy: 'Run as root or as a member of root.',
      });
    } finally {
      process.seteuid?.(0);
      process.setegid?.(0);
      process.setgroups?.(groups);
    }
  });

  it('refuses answers that are not from vtepd', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'vtep-client-'));
    const path = join(directory, 's');
    const server = createServer((socket) => {
      socket.once('data', () => socket.end('HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nsure'));
    });
    await new Promise<void>((resolve) => server.listen(path, resolve));
    await expect(new ControlClient(path).status()).rejects.toMatchObject({ code: 'ERR_PROTOCOL' });
    await new Promise((resolve) => server.close(resolve));
    rmSync(directory, { recursive: true });
  });
});
