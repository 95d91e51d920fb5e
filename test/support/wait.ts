// support/wait.ts — waits for conditions, with a limit, so that no test sleeps and hopes.

export interface WaitUntilOptions {
  /** Default 10000. */
  timeoutMs?: number;
  /** What is waited for, as it should read in the failure: "h1 to learn c2's address". */
  what: string | (() => string);
  /** Pause between two looks, in milliseconds. Default 20. */
  everyMs?: number;
}

/**
 * Asks until the answer is truthy and returns it. Rejects with `what` and the time waited after the
 * limit; an exception of the condition passes straight through, since a condition that throws will
 * not come true.
 */
export async function waitUntil<T>(
  condition: () => T | Promise<T>,
  options: WaitUntilOptions,
): Promise<T> {
  const timeoutMs = options.timeoutMs ?? 10_000;
  const start = performance.now();
  for (;;) {
    const answer = await condition();
    if (answer) return answer;
    if (performance.now() - start >= timeoutMs) {
      const what = typeof options.what === 'string' ? options.what : options.what();
      throw new Error(`waited ${timeoutMs} ms for ${what}`);
    }
    await new Promise((resolve) => setTimeout(resolve, options.everyMs ?? 20));
  }
}
