// bench/rfc2544/trex/conversation.ts — questions and answers with bench/trex/driver.py: a line of
// JSON each.
//
// The driver is a process of its own, since TRex's official API is Python. It may be started inside
// a network namespace, where a server that nobody else can reach listens.

import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { ManagedProcess } from '../../../test/support/process.ts';

/** What a trial is to the driver, and what it answers: see driver.py. */
export interface Conversation {
  /** Rejects with the driver's sentence, when it ends or does not answer in time, or if aborted. */
  ask(command: string, details: object, timeoutMs: number, signal?: AbortSignal): Promise<unknown>;
  close(): Promise<void>;
}

interface Line {
  readonly id: number;
  readonly answer?: unknown;
  readonly error?: string;
}

const startMs = 30_000;
const closeMs = 15_000;

/** bench/trex of this repository, from sources and from what they are compiled to. */
export function benchTrexFolder(): string {
  let folder = dirname(fileURLToPath(import.meta.url));
  while (!existsSync(join(folder, 'bench', 'trex', 'driver.py'))) {
    const above = dirname(folder);
    if (above === folder) throw new Error('bench/trex/driver.py is missing: use a checkout');
    folder = above;
  }
  return join(folder, 'bench', 'trex');
}

/** Starts the driver with the API of this install; `namespace` as iproute2 names it. */
export async function startDriver(
  install: string,
  namespace: string | undefined,
): Promise<Conversation> {
  const python = ['python3', '-u', '-W', 'ignore', join(benchTrexFolder(), 'driver.py')];
  const inside = namespace === undefined ? [] : ['ip', 'netns', 'exec', namespace];
  const [command, ...args] = [...inside, ...python, '--trex', install];
  const process = new ManagedProcess(command!, args);
  const driver = new DriverProcess(process);
  try {
    await driver.answer(0, startMs);
    return driver;
  } catch (error) {
    await driver.close();
    throw error;
  }
}

class DriverProcess implements Conversation {
  readonly #process: ManagedProcess;
  #asked = 0;
  #answered = 0;
  readonly #answers = new Map<number, Line>();
  /** Characters of its output that are in the answers already. */
  #read = 0;

  constructor(process: ManagedProcess) {
    this.#process = process;
  }

  async ask(
    command: string,
    details: object,
    timeoutMs: number,
    signal?: AbortSignal,
  ): Promise<unknown> {
    this.#asked += 1;
    this.#process.write(`${JSON.stringify({ id: this.#asked, command, ...details })}\n`);
    return this.answer(this.#asked, timeoutMs, signal);
  }

  /** Waits for the answer with this number. */
  async answer(number: number, timeoutMs: number, signal?: AbortSignal): Promise<unknown> {
    const isThere = () => {
      signal?.throwIfAborted();
      this.#listen();
      return this.#answers.has(number);
    };
    try {
      await this.#process.waitFor(isThere, { timeoutMs });
    } catch (cause) {
      signal?.throwIfAborted();
      throw new Error(this.#silence(), { cause });
    }
    const { answer, error } = this.#answers.get(number)!;
    this.#answers.delete(number);
    this.#answered = number;
    if (error !== undefined) throw new Error(error);
    return answer;
  }

  /** Takes whole lines out of what the driver has said since. */
  #listen(): void {
    const end = this.#process.stdout.lastIndexOf('\n') + 1;
    const text = this.#process.stdout.slice(this.#read, end);
    this.#read = Math.max(this.#read, end);
    for (const line of text.split('\n').filter((one) => one.startsWith('{'))) {
      const said = JSON.parse(line) as Line;
      this.#answers.set(said.id, said);
    }
  }

  #silence(): string {
    const said = this.#process.stderr.trim().split('\n').at(-1) ?? '';
    const what = this.#process.running ? 'does not answer' : 'has ended';
    return `The TRex driver (bench/trex/driver.py) ${what}${said === '' ? '.' : `: ${said}`}`;
  }

  /** One that is in the middle of something stops the traffic when it is told to end. */
  async close(): Promise<void> {
    const isIdle = this.#process.running && this.#answered === this.#asked;
    if (isIdle) await this.ask('close', {}, closeMs).catch(() => undefined);
    await this.#process.stop();
  }
}
