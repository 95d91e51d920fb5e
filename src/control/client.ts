// control/client.ts — speaks the control API over its unix socket, for the command line.
//
// Only node:http, so that a command starts fast. What fails on the other side arrives here as the
// same SwitchError; what never gets there is a DaemonUnreachable that says what is missing.

import { once } from 'node:events';
import { stat } from 'node:fs/promises';
import { type IncomingMessage, type RequestOptions, request } from 'node:http';
import { text as textOf } from 'node:stream/consumers';
import { SwitchError, systemErrorCode } from '../lib/errors.ts';
import { errorFromBody } from './answers.ts';
import { groupName } from './groups.ts';
import type * as api from './switch-api.ts';

export type DocumentKind = api.ObjectStatus['kind'];

export interface ApplyAnswer extends api.ApplyResult {
  /** The changes as text for people. */
  readonly text: string;
}

export interface DiffAnswer extends api.DiffResult {
  readonly text: string;
}

/** No daemon answers at the socket: it does not run, or we may not ask it. */
export class DaemonUnreachable extends SwitchError {}

/** A document may take a while to validate; nothing takes longer than this to begin to answer. */
const answerTimeoutMs = 60_000;

interface Ask {
  readonly method?: 'GET' | 'PUT' | 'POST';
  readonly path: string;
  readonly query?: Readonly<Record<string, string | number | undefined>>;
  readonly body?: string;
  readonly signal?: AbortSignal;
}

/** One client of one daemon; every call is a request of its own. */
export class ControlClient {
  readonly #socket: string;

  constructor(socket: string) {
    this.#socket = socket;
  }

  status(): Promise<api.SwitchStatus> {
    return this.#json({ path: '/v1/status' });
  }

  document(): Promise<ReturnType<api.SwitchApi['document']>> {
    return this.#json({ path: '/v1/document' });
  }

  apply(body: string, file: string, options: api.ApplyOptions = {}): Promise<ApplyAnswer> {
    const query = { file, ...options };
    return this.#json({ method: 'PUT', path: '/v1/document', query, body });
  }

  diff(body: string, file: string): Promise<DiffAnswer> {
    return this.#json({ method: 'POST', path: '/v1/diff', query: { file }, body });
  }

  objects(kind: DocumentKind): Promise<readonly api.ObjectStatus[]> {
    return this.#json({ path: `/v1/objects/${kind}` });
  }

  object(kind: DocumentKind, name: string): Promise<api.ObjectStatus> {
    return this.#json({ path: `/v1/objects/${kind}/${encodeURIComponent(name)}` });
  }

  flows(): Promise<readonly api.FlowView[]> {
    return this.#json({ path: '/v1/flows' });
  }

  trace(key: string): Promise<api.TraceResult> {
    return this.#json({ method: 'POST', path: '/v1/trace', body: JSON.stringify({ key }) });
  }

  why(about: string): Promise<api.WhyResult> {
    return this.#json({ method: 'POST', path: '/v1/why', body: JSON.stringify({ about }) });
  }

  connections(): Promise<readonly api.ConnectionView[]> {
    return this.#json({ path: '/v1/connections' });
  }

  drops(): Promise<readonly api.DropView[]> {
    return this.#json({ path: '/v1/drops' });
  }

  top(): Promise<api.TopView> {
    return this.#json({ path: '/v1/top' });
  }

  /** pcapng, in pieces of any size; ends quietly when `signal` says so. */
  async *capture(query: api.CaptureRequest, signal?: AbortSignal): AsyncGenerator<Uint8Array> {
    yield* this.#stream({ path: '/v1/capture', query: { ...query }, signal });
  }

  /** Events from now on; ends quietly when `signal` says so. */
  async *watch(signal?: AbortSignal): AsyncGenerator<api.WatchEvent> {
    const decoder = new TextDecoder();
    let rest = '';
    for await (const piece of this.#stream({ path: '/v1/watch', signal })) {
      const lines = (rest + decoder.decode(piece, { stream: true })).split('\n');
      rest = lines.pop() ?? '';
      for (const line of lines) yield parse(line) as api.WatchEvent;
    }
  }

  async #json<Answer>(ask: Ask): Promise<Answer> {
    const answer = await this.#send(ask);
    return parse(await textOf(answer)) as Answer;
  }

  async *#stream(ask: Ask): AsyncGenerator<Uint8Array> {
    const { signal } = ask;
    try {
      yield* await this.#send(ask);
    } catch (error) {
      if (signal?.aborted === true) return;
      if (systemErrorCode(error) !== 'ECONNRESET') throw error;
      throw new DaemonUnreachable('ERR_TIMEOUT', `vtepd at ${this.#socket} ended the stream`);
    }
  }

  /** The answer, its status checked. */
  async #send({ method = 'GET', path, query = {}, body, signal }: Ask): Promise<IncomingMessage> {
    const parameters = new URLSearchParams();
    for (const [name, value] of Object.entries(query)) {
      if (value !== undefined) parameters.set(name, `${value}`);
    }
    const target = parameters.size === 0 ? path : `${path}?${parameters}`;
    const headers = body === undefined ? {} : { 'content-type': 'text/plain' };
    const options = { socketPath: this.#socket, method, path: target, headers, signal };
    const answer = await this.#answer(options, body);
    if (answer.statusCode === 200) return answer;
    throw errorFromBody(parse(await textOf(answer))) ?? notOurs(`status ${answer.statusCode}`);
  }

  async #answer(options: RequestOptions, body: string | undefined): Promise<IncomingMessage> {
    const asking = request(options);
    asking.setTimeout(answerTimeoutMs, () => asking.destroy(new Error('no answer')));
    // After the answer has begun, its own error is the one that counts.
    asking.on('error', () => undefined);
    asking.end(body);
    try {
      const [answer] = (await once(asking, 'response')) as [IncomingMessage];
      asking.setTimeout(0);
      return answer;
    } catch (error) {
      if (options.signal?.aborted === true) throw error;
      throw await this.#unreachable(error);
    }
  }

  async #unreachable(cause: unknown): Promise<SwitchError> {
    const socket = this.#socket;
    const code = systemErrorCode(cause);
    if (code === 'ENOENT' || code === 'ECONNREFUSED' || code === 'ENOTSOCK') {
      return new DaemonUnreachable('ERR_TIMEOUT', `no vtepd serves ${socket}`, {
        remedy: 'Start vtepd, or name its control.socket with --socket.',
      });
    }
    if (code === 'EACCES' || code === 'EPERM') {
      const group = await stat(socket).then(
        ({ gid }) => groupName(gid),
        () => undefined,
      );
      return new DaemonUnreachable('ERR_PERMISSION', `you may not use ${socket}`, {
        remedy: group === undefined ? 'Run as root.' : `Run as root or as a member of ${group}.`,
      });
    }
    const message = `vtepd at ${socket} does not answer`;
    return new DaemonUnreachable('ERR_TIMEOUT', message, { cause });
  }
}

function parse(body: string): unknown {
  try {
    return JSON.parse(body);
  } catch (error) {
    throw notOurs('no JSON', error);
  }
}

function notOurs(what: string, cause?: unknown): SwitchError {
  return new SwitchError('ERR_PROTOCOL', `the answer is not one of vtepd: ${what}`, { cause });
}
