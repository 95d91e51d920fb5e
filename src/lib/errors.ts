// lib/errors.ts — the catalogue of errors that the world or the operator can cause.
//
// Every such error is a SwitchError: a stable code, a message that names the thing, and a remedy;
// scripts match the code, people read the rest. A bug of ours is an assert, a bad packet is a drop
// reason; neither belongs here.

/** What each code asks the reader to do. The codes are stable: add, never rename. */
const remedies = {
  ERR_CONFIG_INVALID: 'Correct the listed fields of the configuration file and start again.',
  ERR_DOCUMENT_INVALID: 'Correct the listed fields and apply again; nothing was changed.',
  ERR_ARGUMENT_INVALID: 'Correct the argument; the help text of the command shows examples.',
  ERR_PORT_EXISTS: 'Choose another name, or remove the port that has it first.',
  ERR_PORT_NOT_FOUND: 'List the ports with "vtepctl get ports" and check the spelling.',
  ERR_DEVICE_NOT_FOUND: 'Create the device, or correct its name; "ip link" lists what exists here.',
  ERR_DEVICE_BUSY: 'Stop the program that holds the device, or choose another one.',
  ERR_XDP_UNSUPPORTED: 'Use mode auto or af_packet for this device, or a driver that has XDP.',
  ERR_PERMISSION: 'Run as root, or grant CAP_NET_RAW, CAP_NET_ADMIN and CAP_BPF.',
  ERR_LIMIT: 'Raise the named limit in the configuration, or ask for less.',
  ERR_DATAPATH_CLOSED: 'Start vtepd-datapath, or wait until it has been restarted.',
  ERR_PROTOCOL: 'Run the same version of vtepd, vtepd-datapath and vtepctl.',
  ERR_BUSY: 'Another process already serves this host or socket; stop it first.',
  ERR_STATE_UNWRITABLE: 'Free space, or make the directory writable for the user of vtepd.',
  ERR_NOT_FOUND: 'List what exists with "vtepctl get" and check the spelling.',
  ERR_UNSUPPORTED: 'Use a kernel or a setting that has the feature.',
  ERR_TIMEOUT: 'Check that the other side runs and answers, then try again.',
  ERR_INTERNAL: 'This is a bug of vtepd; report it with the log around this message.',
} as const;

/** A stable error code, the same in TypeScript, in the control API and in the addon. */
export type ErrorCode = keyof typeof remedies;

/** The catalogue: `errorCodes.ERR_LIMIT === 'ERR_LIMIT'`. */
export const errorCodes = Object.freeze(
  Object.fromEntries(Object.keys(remedies).map((code) => [code, code])),
) as { readonly [Code in ErrorCode]: Code };

/** One thing that is wrong in a document or in a configuration file. */
export interface Problem {
  /** File as the user named it; absent when the input was no file. */
  readonly file?: string;
  /** Line of the input, from 1. */
  readonly line?: number;
  /** Column of the line, from 1. */
  readonly column?: number;
  /** Field, such as `ports[2].mac`; empty for the input as a whole. */
  readonly path: string;
  /** What was found. */
  readonly message: string;
  /** What would have been right. */
  readonly expected: string;
}

/** What a SwitchError carries beside code and message. */
export interface SwitchErrorOptions {
  readonly cause?: unknown;
  readonly problems?: readonly Problem[];
  /** Replaces the remedy of the catalogue where the thrower knows better. */
  readonly remedy?: string;
}

/** An error of the world or of the operator: code for scripts, message and remedy for people. */
export class SwitchError extends Error {
  readonly code: ErrorCode;
  readonly remedy: string;
  readonly problems: readonly Problem[];

  constructor(code: ErrorCode, message: string, options: SwitchErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'SwitchError';
    this.code = code;
    this.remedy = options.remedy ?? remedies[code];
    this.problems = options.problems ?? [];
  }

  /** The body of an API answer: everything but stack and cause, which may name internals. */
  toJSON(): { code: ErrorCode; message: string; remedy: string; problems: readonly Problem[] } {
    const { code, message, remedy, problems } = this;
    return { code, message, remedy, problems };
  }
}

/** The catalogue's remedy for a code. */
export function remedyOf(code: ErrorCode): string {
  return remedies[code];
}

/** True for a string that is a code of the catalogue. */
export function isErrorCode(value: unknown): value is ErrorCode {
  return typeof value === 'string' && Object.hasOwn(remedies, value);
}

/** The `code` of a system error such as ENOENT, or undefined. */
export function systemErrorCode(error: unknown): string | undefined {
  if (!(error instanceof Error) || !('code' in error)) return undefined;
  return typeof error.code === 'string' ? error.code : undefined;
}

/** One problem as one line: `net.yaml:7:12: ports[2].mac: found …; expected …`. */
export function renderProblem(problem: Problem): string {
  const parts: string[] = [];
  const place = [
    problem.file,
    problem.line,
    problem.line === undefined ? undefined : problem.column,
  ];
  const known = place.filter((part) => part !== undefined);
  if (known.length > 0) {
    parts.push(problem.file === undefined ? `line ${known.join(':')}` : known.join(':'));
  }
  if (problem.path !== '') parts.push(problem.path);
  parts.push(`${problem.message}; expected ${problem.expected}`);
  return parts.join(': ');
}

/** Most problems that an error shows; the count of the rest is said. */
export const renderedProblemsMax = 50;

/** How deep a chain of causes is followed; deeper ones repeat what was said. */
const renderedCausesMax = 5;

/**
 * Any thrown value as text for people: message, problems, cause, remedy, code; no stack.
 * Lines are separated by "\n", without one at the end.
 */
export function renderError(error: unknown): string {
  if (!(error instanceof SwitchError)) {
    return error instanceof Error ? withCauses(error) : String(error);
  }
  const lines = [`${withCauses(error)} (${error.code})`];
  for (const problem of error.problems.slice(0, renderedProblemsMax)) {
    lines.push(`  ${renderProblem(problem)}`);
  }
  const hidden = error.problems.length - renderedProblemsMax;
  if (hidden > 0) lines.push(`  and ${hidden} more`);
  lines.push(error.remedy);
  return lines.join('\n');
}

/** The message followed by those of its causes, none of them twice. */
function withCauses(error: Error): string {
  let text = error.message === '' ? error.name : error.message;
  let cause = error.cause;
  for (let depth = 0; depth < renderedCausesMax && cause !== undefined; depth += 1) {
    const message = cause instanceof Error ? cause.message : String(cause);
    if (message !== '' && !text.includes(message)) text += `: ${message}`;
    cause = cause instanceof Error ? cause.cause : undefined;
  }
  return text;
}
