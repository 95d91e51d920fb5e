// cli/commands/complete-words.test.ts — what the last word could become.

import { describe, expect, it } from 'vitest';
import { runVtepctl } from '../run-vtepctl.ts';
import { servedCtl } from '../served-ctl.ts';

const served = servedCtl();

async function complete(...words: string[]): Promise<string[]> {
  return (await served.text('complete-words', '--', ...words)).split('\n').slice(0, -1);
}

describe('vtepctl complete-words', () => {
  it.each([
    [['sta'], ['status']],
    [['t'], ['trace', 'top']],
    [['comp'], ['completion']],
    [['get', 'po'], ['ports']],
    [
      ['get', 's'],
      ['subnets', 'security-groups'],
    ],
    [
      ['get', 'ports', ''],
      ['c1', 'c2'],
    ],
    [['get', 'net', 'b'], ['blue']],
    [['get', 'ports', 'c1', ''], []],
    [
      ['flows', '--'],
      ['--port', '--sort', '--limit', '--socket', '--output', '--help'],
    ],
    [['flows', '--port', 'c'], ['c1']],
    [
      ['flows', '--sort', ''],
      ['packets', 'bytes', 'idle', 'age', 'id'],
    ],
    [['flows', '--limit', ''], []],
    [['status', '-o', 'j'], ['json']],
    [['apply', '-f', 'ne'], [':files']],
    [['capture', 'u'], ['uplink']],
    [
      ['completion', ''],
      ['bash', 'zsh', 'fish'],
    ],
    [['nonsense', 'x'], []],
  ])('%j becomes %j', async (words, expected) => {
    expect(await complete(...words)).toEqual(expected);
  });

  it('asks the daemon that the line names', async () => {
    const argv = ['complete-words', '--', '--socket', served.socket, 'get', 'ports', ''];
    expect((await runVtepctl(argv)).stdout).toBe('c1\nc2\n');
  });

  it('offers nothing when no daemon answers', async () => {
    const argv = ['--socket', '/nonexistent/s', 'complete-words', '--', 'get', 'ports', ''];
    expect(await runVtepctl(argv)).toMatchObject({ code: 0, stdout: '', stderr: '' });
  });
});
