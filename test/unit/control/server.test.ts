// control/server.test.ts — who may reach the control API, and when it refuses to start.

import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { request } from 'node:https';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { describe, expect, it } from 'vitest';
import { ControlClient } from '../../../src/control/client.ts';
import { startControlServer } from '../../../src/control/server.ts';
import { createLogger } from '../../../src/lib/logger.ts';
import { type Config, parseConfig } from '../../../src/model/config.ts';
import { FakeSwitch, serveFake } from './fake-switch.ts';

const logger = createLogger({ name: 'test', level: 'silent' });

function start(config: Config) {
  return startControlServer({ config, logger, api: new FakeSwitch() });
}

describe('the control server', () => {
  it('gives its socket the configured mode', async () => {
    const served = await serveFake({ mode: '0600' });
    expect(statSync(served.socket).mode & 0o777).toBe(0o600);
    await served.close();
  });

  it('refuses a socket that another vtepd serves', async () => {
    const served = await serveFake();
    await expect(start(served.config)).rejects.toMatchObject({
      code: 'ERR_BUSY',
      message: `another vtepd serves ${served.socket}`,
    });
    expect((await new ControlClient(served.socket).status()).host).toBe('h1');
    await served.close();
  });

  it('names a group that does not exist', async () => {
    await expect(serveFake({ group: 'no-such-group' })).rejects.toMatchObject({
      code: 'ERR_CONFIG_INVALID',
      message: 'control.group: there is no group "no-such-group" here',
    });
  });

  it('ends streams when it closes, and may be closed twice', async () => {
    const served = await serveFake();
    const events = new ControlClient(served.socket).watch();
    const next = events.next();
    await new Promise((resolve) => setTimeout(resolve, 50));
    await served.close();
    await served.close();
    await expect(next).rejects.toThrow('ended the stream');
  });
});

/** An authority, a server and a client certificate of it, and a client of somebody else. */
function makeCertificates(directory: string) {
  const openssl = (...args: string[]) =>
    execFileSync('openssl', args, { cwd: directory, stdio: 'pipe' });
  const selfSigned = (name: string) =>
    openssl(
      ...['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'],
      ...['-days', '2', '-keyout', `${name}.key`, '-out', `${name}.pem`, '-subj', `/CN=${name}`],
    );
  selfSigned('ca');
  selfSigned('stranger');
  for (const name of ['server', 'client']) {
    openssl(
      ...['req', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'],
      ...['-keyout', `${name}.key`, '-out', `${name}.csr`, '-subj', `/CN=${name}`],
    );
    openssl(
      ...['x509', '-req', '-in', `${name}.csr`, '-CA', 'ca.pem', '-CAkey', 'ca.key'],
      ...['-CAcreateserial', '-days', '2', '-out', `${name}.pem`],
    );
  }
  return (name: string) => join(directory, name);
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  return typeof address === 'object' && address !== null ? address.port : 0;
}

function ask(port: number, path: (name: string) => string, name: string | undefined) {
  const certificate =
    name === undefined
      ? {}
      : { cert: readFileSync(path(`${name}.pem`)), key: readFileSync(path(`${name}.key`)) };
  return new Promise<string>((resolve, reject) => {
    const options = {
      ...{ host: '127.0.0.1', port, path: '/v1/status', ca: readFileSync(path('ca.pem')) },
      ...{ checkServerIdentity: () => undefined, agent: false },
      ...certificate,
    };
    request(options, (answer) => resolve(text(answer)))
      .on('error', reject)
      .end();
  });
}

describe('remote access', () => {
  it('is for clients with a certificate of the authority, and for nobody else', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'vtep-tls-'));
    const path = makeCertificates(directory);
    const port = await freePort();
    const tls = { cert: path('server.pem'), key: path('server.key'), ca: path('ca.pem') };
    const served = await serveFake({ listen: `127.0.0.1:${port}`, tls });
    try {
      expect(JSON.parse(await ask(port, path, 'client')).host).toBe('h1');
      await expect(ask(port, path, undefined)).rejects.toThrow();
      await expect(ask(port, path, 'stranger')).rejects.toThrow();
    } finally {
      await served.close();
      rmSync(directory, { recursive: true, force: true });
    }
  });

  it('fails at start with the name of a file that cannot be read', async () => {
    const tls = { cert: '/nonexistent/c.pem', key: '/nonexistent/k.pem', ca: '/nonexistent/a.pem' };
    await expect(serveFake({ listen: '127.0.0.1:1', tls })).rejects.toMatchObject({
      code: 'ERR_CONFIG_INVALID',
      message: expect.stringContaining('/nonexistent/'),
    });
  });

  it('is never without TLS, even if the configuration were not checked', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'vtep-tls-'));
    const checked = parseConfig(
      JSON.stringify({ host: 'h1', control: { socket: join(directory, 's') } }),
    );
    const config = { ...checked, control: { ...checked.control, listen: '127.0.0.1:7443' } };
    await expect(start(config)).rejects.toMatchObject({ code: 'ERR_CONFIG_INVALID' });
    rmSync(directory, { recursive: true, force: true });
  });
});
