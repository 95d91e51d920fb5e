// bench/progress.ts — what runs and how long it will take, on standard error.
//
// Standard output is for the result alone, so that it can be piped. On a terminal one line is
// written over and over; elsewhere each step gets a line.

export class Progress {
  readonly #bench: string;
  readonly #began = Date.now();
  /** Seconds that all steps together were expected to take, and those of the steps begun so far. */
  #expected: number;
  #begun = 0;
  #current = 0;

  constructor(bench: string, expectedSeconds: number) {
    this.#bench = bench;
    this.#expected = expectedSeconds;
  }

  /** A step begins, the one before is done. */
  step(what: string, expectedSeconds: number): void {
    this.#begun += this.#current;
    this.#current = expectedSeconds;
    this.#say(`${what}, ${duration(this.#left())} left`);
  }

  done(): void {
    this.#say(`done in ${duration((Date.now() - this.#began) / 1000)}`);
    if (process.stderr.isTTY) process.stderr.write('\n');
  }

  /** What was expected of the rest, stretched as the steps so far were. */
  #left(): number {
    const elapsed = (Date.now() - this.#began) / 1000;
    const stretch = this.#begun === 0 ? 1 : elapsed / this.#begun;
    return Math.max(0, this.#expected - this.#begun) * stretch;
  }

  #say(text: string): void {
    const line = `${this.#bench}: ${text}`;
    process.stderr.write(process.stderr.isTTY ? `\r\x1b[K${line}` : `${line}\n`);
  }
}

/** A sentence for people, on a line of its own. */
export function note(text: string): void {
  process.stderr.write(`${process.stderr.isTTY ? '\r\x1b[K' : ''}${text}\n`);
}

function duration(seconds: number): string {
  const whole = Math.ceil(seconds);
  if (whole < 100) return `${whole} s`;
  return `${Math.floor(whole / 60)} min ${whole % 60} s`;
}
