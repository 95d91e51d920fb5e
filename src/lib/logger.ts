// lib/logger.ts — one JSON line per event, to standard error unless told otherwise.
//
// Lines are written at once: what a process says before it dies is what somebody needs. Fields that
// may hold a secret are replaced wherever the API or the configuration could bring them in; keys
// and tokens are never logged, not even at level trace.

import { type DestinationStream, destination, type Logger as PinoLogger, pino } from 'pino';
import { SwitchError } from './errors.ts';

export const logLevels = ['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'] as const;

export type LogLevel = (typeof logLevels)[number];

export type Logger = PinoLogger;

export interface LoggerOptions {
  /** Program that writes, such as "vtepd". */
  readonly name: string;
  readonly level?: LogLevel;
  /** Where lines go; for tests. */
  readonly stream?: DestinationStream;
}

const standardError = 2;

const secretNames = ['authorization', 'cookie', 'key', 'passphrase', 'password', 'secret', 'token'];

/** How deep in an object secrets are looked for: `req.headers.authorization` is at 3. */
const secretDepthMax = 4;

/** A logger that writes one JSON object per line. */
export function createLogger({ name, level = 'info', stream }: LoggerOptions): Logger {
  const options = {
    name,
    level,
    timestamp: pino.stdTimeFunctions.isoTime,
    formatters: { level: (label: string) => ({ level: label }) },
    redact: { paths: secretPaths(), censor: '[secret]' },
    serializers: { err: serializeError },
  };
  return pino(options, stream ?? destination({ dest: standardError, sync: true }));
}

function secretPaths(): string[] {
  const paths: string[] = [];
  for (let depth = 0; depth < secretDepthMax; depth += 1) {
    const prefix = '*.'.repeat(depth);
    paths.push(...secretNames.map((name) => prefix + name));
  }
  return paths;
}

/** Code, remedy and problems of a SwitchError stand beside the message and the stack. */
function serializeError(error: unknown): unknown {
  if (!(error instanceof Error)) return error;
  const serialized = pino.stdSerializers.err(error);
  const { type, message, stack } = serialized;
  if (!(error instanceof SwitchError)) return { type, message, stack };
  return { type, ...error.toJSON(), message, stack };
}
