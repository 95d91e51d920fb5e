// switch/flow-log.ts — where flow records go: a file of JSON lines, an IPFIX collector, or both.
//
// Neither may hold up the switch: what waits for a slow disk is bounded, UDP is sent and forgotten,
// and what is lost is counted. Trouble is logged once, and again when it has changed. A file that
// grows too large is renamed to FILE.1, in the place of the one before.

import { createSocket, type Socket } from 'node:dgram';
import {
  createWriteStream,
  fstatSync,
  mkdirSync,
  openSync,
  renameSync,
  type WriteStream,
} from 'node:fs';
import { isIPv6 } from 'node:net';
import { dirname } from 'node:path';
import { type Config, splitListen } from '../model/config.ts';
import type { FlowRecord } from './flow-records.ts';
import { IpfixEncoder } from './ipfix.ts';

export type FlowLogConfig = NonNullable<Config['flowLog']>;

/** Records are sent together, this often. */
const flushMs = 250;
/** Records that wait for that at most; beyond, they are flushed at once. */
const pendingMax = 1000;
const templatePeriodMs = 60_000;
/** Bytes that wait for the disk. */
const fileBacklogMax = 8 << 20;
const reopenMs = 5000;

export interface FlowLogParts {
  readonly config: FlowLogConfig;
  readonly log: (message: string, error: unknown) => void;
}

export class FlowLog {
  readonly #file: FileSink | undefined;
  readonly #ipfix: IpfixSink | undefined;
  readonly #timer: NodeJS.Timeout;
  #pending: FlowRecord[] = [];
  #written = 0;

  constructor({ config, log }: FlowLogParts) {
    const { file, ipfix, fileMegabytes } = config;
    this.#file = file === undefined ? undefined : new FileSink(file, fileMegabytes << 20, log);
    this.#ipfix = ipfix === undefined ? undefined : new IpfixSink(ipfix, log);
    this.#timer = setInterval(() => this.flush(), flushMs);
    this.#timer.unref();
  }

  /** Records so far, and those that could not be written. */
  get counts(): { written: number; lost: number } {
    return { written: this.#written, lost: (this.#file?.lost ?? 0) + (this.#ipfix?.lost ?? 0) };
  }

  add(record: FlowRecord): void {
    this.#pending.push(record);
    this.#written += 1;
    if (this.#pending.length >= pendingMax) this.flush();
  }

  /** Hands on what waits. */
  flush(): void {
    const records = this.#pending;
    if (records.length === 0) return;
    this.#pending = [];
    this.#file?.write(records);
    this.#ipfix?.send(records);
  }

  close(): void {
    clearInterval(this.#timer);
    this.flush();
    this.#file?.close();
    this.#ipfix?.close();
  }
}

class FileSink {
  lost = 0;
  readonly #path: string;
  readonly #bytesMax: number;
  readonly #log: FlowLogParts['log'];
  #stream: WriteStream | undefined;
  #bytes = 0;
  #triedMs = Number.NEGATIVE_INFINITY;
  #trouble = '';

  constructor(path: string, bytesMax: number, log: FlowLogParts['log']) {
    this.#path = path;
    this.#bytesMax = bytesMax;
    this.#log = log;
    // A place that cannot be written is told of at once.
    this.#open();
  }

  write(records: readonly FlowRecord[]): void {
    if (this.#stream !== undefined && this.#bytes > this.#bytesMax) this.#rotate();
    const stream = this.#stream ?? this.#open();
    if (stream === undefined || stream.writableLength > fileBacklogMax) {
      this.lost += records.length;
      return;
    }
    const text = records.map((record) => `${JSON.stringify(lineOf(record))}\n`).join('');
    this.#bytes += Buffer.byteLength(text);
    stream.write(text);
  }

  close(): void {
    this.#stream?.end();
    this.#stream = undefined;
  }

  #rotate(): void {
    this.close();
    try {
      renameSync(this.#path, `${this.#path}.1`);
    } catch (error) {
      this.#fail(error);
    }
  }

  /** Undefined: not now; it is tried again. */
  #open(): WriteStream | undefined {
    const now = performance.now();
    if (now - this.#triedMs < reopenMs && this.#trouble !== '') return undefined;
    this.#triedMs = now;
    let fd: number;
    try {
      mkdirSync(dirname(this.#path), { recursive: true, mode: 0o750 });
      fd = openSync(this.#path, 'a', 0o640);
      this.#bytes = fstatSync(fd).size;
    } catch (error) {
      this.#fail(error);
      return undefined;
    }
    this.#trouble = '';
    const stream = createWriteStream(this.#path, { fd });
    stream.on('error', (error) => {
      if (this.#stream === stream) this.#stream = undefined;
      this.#fail(error);
    });
    this.#stream = stream;
    return stream;
  }

  #fail(error: unknown): void {
    const { message } = error as Error;
    if (message !== this.#trouble) this.#log(`cannot write the flow log ${this.#path}`, error);
    this.#trouble = message;
  }
}

/** A record as people and programs read it: times in ISO 8601, no numbers of the data path. */
function lineOf({ startMs, endMs, portNumber: _number, family: _family, ...rest }: FlowRecord) {
  const time = (ms: number) => new Date(ms).toISOString();
  return { start: time(startMs), end: time(endMs), ...rest };
}

class IpfixSink {
  lost = 0;
  readonly #encoder: IpfixEncoder;
  readonly #socket: Socket;
  readonly #host: string;
  readonly #port: number;
  readonly #log: FlowLogParts['log'];
  #templatesMs = Number.NEGATIVE_INFINITY;
  #trouble = '';

  constructor(
    { collector, domain }: NonNullable<FlowLogConfig['ipfix']>,
    log: FlowLogParts['log'],
  ) {
    // The configuration was checked: it is an address with a port.
    const { host, port } = splitListen(collector)!;
    this.#host = host;
    this.#port = port;
    this.#log = log;
    this.#encoder = new IpfixEncoder({ domain });
    this.#socket = createSocket(isIPv6(host) ? 'udp6' : 'udp4');
    this.#socket.on('error', (error) => this.#fail(error));
    this.#socket.unref();
  }

  send(records: readonly FlowRecord[]): void {
    const now = performance.now();
    const withTemplates = now - this.#templatesMs >= templatePeriodMs;
    if (withTemplates) this.#templatesMs = now;
    for (const message of this.#encoder.messages(records, withTemplates, Date.now())) {
      this.#socket.send(message, this.#port, this.#host, (error) => {
        if (error === null) this.#trouble = '';
        else this.#fail(error);
      });
    }
  }

  close(): void {
    // What was handed over is sent first.
    setImmediate(() => this.#socket.close());
  }

  #fail(error: Error): void {
    this.lost += 1;
    if (error.message !== this.#trouble) {
      this.#log(`cannot send flow records to ${this.#host} port ${this.#port}`, error);
    }
    this.#trouble = error.message;
  }
}
