// deploy/setup/progress.mjs — runs the long steps of the set-up and shows that they move.
//
// A step's output is kept, not shown: one line when it begins, one every ten seconds while it
// lasts, one when it ends. If it fails, the end of its output is printed.

import { spawn } from 'node:child_process';
import { dirname, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The repository's top folder. */
export const root = resolve(dirname(fileURLToPath(import.meta.url)), '..', '..');

const heartbeatMs = 10_000;
const shownLineCountMax = 60;
const keptBytesMax = 4 * 1024 * 1024;
const startedAt = Date.now();

/** A failure that is the machine's or the operator's; its message is the whole story. */
export class SetupError extends Error {}

let stream = process.stdout;

/** From now on progress goes to standard error: standard output belongs to what is run later. */
export function sayOnStandardError() {
  stream = process.stderr;
}

export function say(line) {
  const seconds = ((Date.now() - startedAt) / 1000).toFixed(1).padStart(6);
  stream.write(`[${seconds} s] ${line}\n`);
}

const running = new Set();
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
  process.on(signal, () => {
    if (running.size === 0) process.exit(130);
    for (const child of running) stop(child);
    process.exitCode = 130;
  });
}

// Children lead a process group of their own, so that what they started ends with them.
function stop(child) {
  try {
    process.kill(-child.pid, 'SIGTERM');
  } catch {
    child.kill('SIGTERM');
  }
}

/**
 * Runs a command and resolves with { code, output }; never rejects for a non-zero exit.
 * options: cwd, env (added to ours), show (pass the output through), timeoutMs.
 */
export function run(command, args, { cwd = root, env = {}, show = false, timeoutMs = 0 } = {}) {
  return new Promise((resolve) => {
    const child = spawn(command, args, {
      cwd,
      env: { ...process.env, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
      detached: true,
    });
    running.add(child);
    let output = '';
    const take = (stream) => (chunk) => {
      if (show) stream.write(chunk);
      output = (output + chunk).slice(-keptBytesMax);
    };
    child.stdout.setEncoding('utf8').on('data', take(process.stdout));
    child.stderr.setEncoding('utf8').on('data', take(process.stderr));
    const expire = () => {
      output += `\nstopped after ${timeoutMs / 1000} s\n`;
      stop(child);
      setTimeout(() => killGroup(child), 5000).unref();
    };
    const timer = timeoutMs > 0 ? setTimeout(expire, timeoutMs) : undefined;
    const end = (code) => {
      clearTimeout(timer);
      running.delete(child);
      resolve({ code, output });
    };
    child.on('error', (error) => {
      output += `${command}: ${error.message}\n`;
      end(127);
    });
    child.on('close', (code, signal) => {
      if (signal !== null) output += `${command}: ended by ${signal}\n`;
      end(code ?? 1);
    });
  });
}

function killGroup(child) {
  try {
    process.kill(-child.pid, 'SIGKILL');
  } catch {
    // Already gone.
  }
}

/** The last lines of a step's output, for people. */
export function tail(output, lineCount = shownLineCountMax) {
  return output.trimEnd().split('\n').slice(-lineCount).join('\n');
}

/** Runs a step with progress lines; throws a SetupError, after the output's end, if it fails. */
export async function step(title, command, args, options = {}) {
  say(`${title} ...`);
  const began = Date.now();
  const beat = setInterval(() => {
    say(`${title} ... ${Math.round((Date.now() - began) / 1000)} s so far`);
  }, heartbeatMs);
  const { code, output } = await run(command, args, options);
  clearInterval(beat);
  if (process.exitCode === 130) throw new SetupError('interrupted');
  const seconds = ((Date.now() - began) / 1000).toFixed(1);
  if (code !== 0) {
    stream.write(`${tail(output)}\n`);
    throw new SetupError(`${title} failed after ${seconds} s (${command} ended with ${code})`);
  }
  say(`${title}: done in ${seconds} s`);
  return output;
}
