// cli/io.ts — the world of a command: where it writes, what it reads, when it is told to stop.
//
// Commands touch nothing of the process but this, so tests run them in place.

import type { Readable, Writable } from 'node:stream';

export interface Io {
  readonly stdout: Writable & { readonly isTTY?: boolean; readonly columns?: number };
  readonly stderr: Writable;
  readonly stdin: Readable;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Aborted by Ctrl-C. Whoever reads this property takes over what Ctrl-C means. */
  readonly signal: AbortSignal;
}

/** The io of this process. */
export function processIo(): Io {
  let stop: AbortController | undefined;
  const { stdout, stderr, stdin, env } = process;
  // The reader of a pipe may have seen enough, as `head` does: no reason to complain.
  stdout.on('error', (error: NodeJS.ErrnoException) => {
    process.exit(error.code === 'EPIPE' ? 0 : 1);
  });
  return {
    stdout,
    stderr,
    stdin,
    env,
    get signal() {
      if (stop === undefined) {
        const controller = new AbortController();
        for (const signal of ['SIGINT', 'SIGTERM'] as const) {
          process.once(signal, () => controller.abort());
        }
        stop = controller;
      }
      return stop.signal;
    },
  };
}

/** Writes, and waits when the other side is slower. */
export async function write(stream: Writable, data: string | Uint8Array): Promise<void> {
  if (stream.write(data) || stream.destroyed) return;
  await new Promise<void>((resolve) => {
    const done = () => {
      stream.off('drain', done).off('close', done);
      resolve();
    };
    stream.once('drain', done).once('close', done);
  });
}

/** Columns that a line may have; undefined: any number, as when a program reads the output. */
export function widthOf({ stdout, env }: Io): number | undefined {
  const columns = stdout.isTTY === true ? stdout.columns : Number(env.COLUMNS ?? 0);
  return columns !== undefined && columns > 0 ? columns : undefined;
}

const codes = { bold: 1, dim: 2, red: 31, green: 32, yellow: 33, cyan: 36 } as const;

export type Style = keyof typeof codes;

/** True when output may be coloured: a terminal, and nobody said NO_COLOR. */
export function hasColour({ stdout, env }: Io): boolean {
  return stdout.isTTY === true && !env.NO_COLOR && env.TERM !== 'dumb';
}

/** The text in a style where colour is welcome. */
export function paint(io: Io, style: Style, text: string): string {
  return text === '' || !hasColour(io) ? text : `\u001b[${codes[style]}m${text}\u001b[0m`;
}
