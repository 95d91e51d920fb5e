// cli/commands/drops.test.ts — reasons that happened, all reasons, again and again.

import { describe, expect, it } from 'vitest';
import { servedCtl } from '../served-ctl.ts';

const served = servedCtl();

describe('vtepctl drops', () => {
  it('shows what happened', async () => {
    expect(await served.text('drops')).toMatchSnapshot();
  });

  it('shows everything with --all', async () => {
    expect(await served.text('drops', '--all')).toContain('too_short');
    expect(await served.json('drops', '--all')).toEqual(served.api.drops());
    expect(await served.json('drops')).toHaveLength(1);
  });

  it('shows one port, and knows which ports there are', async () => {
    const [only] = await served.json('drops', '--port', 'veth1');
    expect(only).toMatchObject({ packets: 7, ports: [{ port: 'c1' }], rules: [{ port: 'c1' }] });
    const { code, stderr } = await served.ctl(['drops', '--port', 'nosuch']);
    expect([code, stderr]).toEqual([5, expect.stringContaining('no port "nosuch"')]);
  });

  it('goes on with --watch until it is told to stop', async () => {
    const stop = new AbortController();
    const onStdout = () => stop.abort();
    const options = { signal: stop.signal, onStdout };
    const { code, stdout } = await served.ctl(['drops', '--watch', '-o', 'json'], options);
    expect(code).toBe(0);
    expect(stdout.split('\n')).toHaveLength(2);
    expect(JSON.parse(stdout)).toEqual(await served.json('drops'));
  });
});
