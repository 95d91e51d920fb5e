// control/server.ts — where the control API is reached: a unix socket, and TLS for remote clients.
//
// The socket's permissions are all the access control that local clients need. Remote clients must
// present a certificate of the configured authority; there is no remote access without.

import { readFile } from 'node:fs/promises';
import type { FastifyInstance } from 'fastify';
import { SwitchError } from '../lib/errors.ts';
import type { Logger } from '../lib/logger.ts';
import { type Config, socketModeBits, splitListen } from '../model/config.ts';
import { makeApp } from './app.ts';
import type { SwitchApi } from './switch-api.ts';
import { listenAt } from './unix-socket.ts';

export interface ControlServerOptions {
  readonly config: Config;
  readonly logger: Logger;
  readonly api: SwitchApi;
}

export interface ControlServer {
  /** Stops listening and ends all connections; may be called twice. */
  close(): Promise<void>;
}

/**
 * Serves the control API as the configuration says.
 * @throws SwitchError ERR_BUSY when another process serves the socket or address,
 *   ERR_CONFIG_INVALID for a socket, group or certificate that cannot be, ERR_PERMISSION
 */
export async function startControlServer(options: ControlServerOptions): Promise<ControlServer> {
  const { config } = options;
  const { socket: path, group } = config.control;
  const apps: FastifyInstance[] = [];
  const close = async () => {
    await Promise.all(apps.splice(0).map(closeApp));
  };
  try {
    const local = await makeApp(options);
    apps.push(local);
    await local.ready();
    await listenAt(local.server, { path, mode: socketModeBits(config), group });
    if (config.control.listen !== undefined) apps.push(await startRemote(options));
  } catch (error) {
    await close();
    throw error;
  }
  return { close };
}

/** Fastify closes only what it made listen itself, and the unix socket is not. */
async function closeApp(app: FastifyInstance): Promise<void> {
  const { server } = app;
  const closed = new Promise((resolve) => server.close(resolve));
  server.closeAllConnections();
  await Promise.all([app.close(), closed]);
}

async function startRemote({ config, logger, api }: ControlServerOptions) {
  const { listen = '', tls } = config.control;
  const address = splitListen(listen);
  if (address === undefined || tls === undefined) {
    throw new SwitchError('ERR_CONFIG_INVALID', 'control.listen needs an address and control.tls');
  }
  const [cert, key, ca] = await Promise.all([
    readPem('cert', tls.cert),
    readPem('key', tls.key),
    readPem('ca', tls.ca),
  ]);
  try {
    const app = await makeApp({ api, logger, https: { cert, key, ca } });
    await app.listen(address);
    return app;
  } catch (error) {
    throw notServed(listen, error);
  }
}

async function readPem(name: string, path: string) {
  try {
    return await readFile(path);
  } catch (error) {
    throw new SwitchError('ERR_CONFIG_INVALID', `control.tls.${name}: cannot read ${path}`, {
      cause: error,
      remedy: 'Name a file in PEM that vtepd may read.',
    });
  }
}

function notServed(listen: string, cause: unknown): SwitchError {
  const isBusy = (cause as NodeJS.ErrnoException).code === 'EADDRINUSE';
  return isBusy
    ? new SwitchError('ERR_BUSY', `another program serves ${listen}`, { cause })
    : new SwitchError('ERR_CONFIG_INVALID', `control.listen: cannot serve ${listen}`, {
        cause,
        remedy: 'Name an address of this host, and certificate and key that belong together.',
      });
}
