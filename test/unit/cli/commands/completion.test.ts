// cli/commands/completion.test.ts — scripts that shells accept, and that complete.

import { execFileSync, spawnSync } from 'node:child_process';
import { describe, expect, it } from 'vitest';
import { runVtepctl } from '../run-vtepctl.ts';

async function script(shell: string): Promise<string> {
  const { code, stdout } = await runVtepctl(['completion', shell]);
  expect(code).toBe(0);
  return stdout;
}

const has = (shell: string) => spawnSync(shell, ['--version']).status === 0;

describe('vtepctl completion', () => {
  it('of bash is right to bash, and completes what the words say', async () => {
    const text = await script('bash');
    execFileSync('bash', ['-n'], { input: text });
    const test = `${text}
vtepctl() { printf '%s\\n' "got" "$*"; }
COMP_WORDS=(vtepctl get po)
COMP_CWORD=2
_vtepctl
printf '%s|' "\${COMPREPLY[@]}"
vtepctl() { echo :files; }
COMP_WORDS=(vtepctl apply -f /etc/hostn)
COMP_CWORD=3
_vtepctl
printf '%s|' "\${COMPREPLY[@]}"`;
    const answer = execFileSync('bash', ['--norc'], { input: test }).toString();
    expect(answer).toBe('got|complete-words|--|get|po|/etc/hostname|');
  });

  it.runIf(has('zsh'))('of zsh is right to zsh', async () => {
    execFileSync('zsh', ['-n'], { input: await script('zsh') });
  });

  it.runIf(has('fish'))('of fish is right to fish', async () => {
    execFileSync('fish', ['-n'], { input: await script('fish') });
  });

  it('asks vtepctl in every shell', async () => {
    for (const shell of ['bash', 'zsh', 'fish']) {
      expect(await script(shell)).toContain('vtepctl complete-words -- ');
    }
  });
});
