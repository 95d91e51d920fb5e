// cli/run-vtepctl.ts — runs a vtepctl command line in this process and keeps what it wrote.

import { Readable, Writable } from 'node:stream';
import type { Io } from '../../../src/cli/io.ts';
import { main } from '../../../src/cli/vtepctl.ts';

export interface Ran {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
  /** Standard output as it was written. */
  readonly bytes: Buffer;
}

export interface RunOptions {
  readonly stdin?: string;
  readonly env?: Record<string, string>;
  readonly isTTY?: boolean;
  readonly signal?: AbortSignal;
  /** Called with all that was written so far. */
  readonly onStdout?: (text: string) => void;
}

class Kept extends Writable {
  readonly chunks: Buffer[] = [];
  isTTY = false;

  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    this.chunks.push(chunk);
    done();
  }

  get bytes(): Buffer {
    return Buffer.concat(this.chunks);
  }
}

export async function runVtepctl(argv: readonly string[], options: RunOptions = {}): Promise<Ran> {
  const { stdin = '', env = {}, isTTY = false, signal, onStdout } = options;
  const [stdout, stderr] = [new Kept(), new Kept()];
  stdout.isTTY = isTTY;
  const io: Io = {
    stdout,
    stderr,
    stdin: Readable.from([stdin]),
    env,
    signal: signal ?? new AbortController().signal,
  };
  if (onStdout !== undefined) {
    const keep = stdout._write.bind(stdout);
    stdout._write = (chunk, encoding, done) => {
      keep(chunk, encoding, done);
      onStdout(stdout.bytes.toString());
    };
  }
  const code = await main(argv, io);
  return { code, stdout: `${stdout.bytes}`, stderr: `${stderr.bytes}`, bytes: stdout.bytes };
}
