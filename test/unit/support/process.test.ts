// unit/support/process.test.ts — commands, watched processes, waiting and needs, without root.

import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { leftovers } from '../../support/netns.ts';
import { alive, ManagedProcess, mustRun, run } from '../../support/process.ts';
import { firstLack, lack, requires } from '../../support/requires.ts';
import { parsePing } from '../../support/traffic.ts';
import { waitUntil } from '../../support/wait.ts';

test('a command gives its output, its errors and its exit code', async () => {
  const result = await run('sh', ['-c', 'cat; echo bad >&2; exit 3'], { input: 'given' });
  expect(result).toEqual({ stdout: 'given', stderr: 'bad\n', code: 3, signal: null });
});

test('a command that must succeed rejects with its own words', async () => {
  await expect(mustRun('sh', ['-c', 'echo no such thing >&2; exit 1'])).rejects.toThrow(
    /exit code 1\nno such thing/,
  );
});

test('a command that is not there rejects with its name', async () => {
  await expect(run('no-such-command-here', [])).rejects.toThrow(
    /cannot start no-such-command-here/,
  );
});

test('a command that hangs is killed at its limit', async () => {
  await expect(run('sleep', ['60'], { timeout: 100 })).rejects.toThrow(/not done after 100 ms/);
});

test('a watched process is waited for by what it says and stopped by its id', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'vtep-process-'));
  const log = join(directory, 'log');
  const child = new ManagedProcess('sh', ['-c', 'echo up; exec sleep 60'], { log });
  try {
    await child.waitFor(/^up$/m);
    expect(child.running).toBe(true);
    expect(await child.stop()).toEqual({ code: -1, signal: 'SIGTERM' });
    expect(child.running).toBe(false);
    await waitUntil(() => readFileSync(log, 'utf8') === 'up\n', { what: 'the log' });
  } finally {
    await child.kill9();
    rmSync(directory, { recursive: true });
  }
});

test('a process that ends early fails the wait at once, with its last words', async () => {
  const child = new ManagedProcess('sh', ['-c', 'echo cannot open device >&2; exit 2']);
  await expect(child.waitFor(/ready/)).rejects.toThrow(/exit code 2.*\ncannot open device/s);
});

test('a process that ignores SIGTERM is killed together with its children', async () => {
  const child = new ManagedProcess('sh', ['-c', 'trap "" TERM; sleep 60 & echo $!; wait; wait']);
  await child.waitFor(/\d+/);
  const grandchild = Number(child.stdout);
  expect(await child.stop({ timeoutMs: 200 })).toEqual({ code: -1, signal: 'SIGKILL' });
  await waitUntil(() => stateOf(grandchild) !== 'running', {
    what: 'the child of the child to die',
  });
});

function stateOf(pid: number) {
  try {
    return /^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8')) ? 'zombie' : 'running';
  } catch {
    return 'gone';
  }
}

test('a condition that never comes true names what was waited for', async () => {
  const never = waitUntil(() => false, { timeoutMs: 50, what: 'the cows to come home' });
  await expect(never).rejects.toThrow('waited 50 ms for the cows to come home');
});

test('only namespaces of dead owners are left over', async () => {
  const dead = new ManagedProcess('true', []);
  await dead.exited;
  expect(alive(dead.pid)).toBe(false);
  const names = [
    `vtep-${dead.pid}-0a1b-h1`,
    `vtep-${process.pid}-0a1b-h1`,
    'vtep-quick-h1',
    'blue',
  ];
  expect(leftovers(names)).toEqual([`vtep-${dead.pid}-0a1b-h1`]);
});

test('a missing command skips the test and says which package brings it', ({ task }) => {
  expect(lack('command:sh')).toBeUndefined();
  const reason = 'no-such-command is not installed (apt-get install no-such-command)';
  expect(firstLack(['command:sh', 'command:no-such-command'])).toBe(reason);
  const skipped: (string | undefined)[] = [];
  const skip = ((note?: string) => skipped.push(note)) as never;
  requires({ task, skip }, 'command:no-such-command');
  expect(skipped).toEqual([reason]);
});

test('what ping prints is read: loss, times, duplicates', () => {
  const text = [
    '3 packets transmitted, 2 received, +1 duplicates, 33% packet loss, time 102ms',
    'rtt min/avg/max/mdev = 0.021/0.033/0.052/0.010 ms',
  ].join('\n');
  const { sent, received, averageMs, maxMs, duplicates } = parsePing(text);
  expect({ sent, received, averageMs, maxMs, duplicates }).toEqual({
    ...{ sent: 3, received: 2, averageMs: 0.033, maxMs: 0.052, duplicates: 1 },
  });
  expect(parsePing('ping: connect: Network is unreachable').received).toBe(0);
});
