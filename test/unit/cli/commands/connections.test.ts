// cli/commands/connections.test.ts — who talks to whom, by port, as a table and as data.

import { describe, expect, it } from 'vitest';
import { servedCtl } from '../served-ctl.ts';

const served = servedCtl();

describe('vtepctl connections', () => {
  it('shows ends, state and what was carried', async () => {
    expect(await served.text('connections')).toMatchSnapshot();
    expect(await served.json('connections')).toEqual(await served.api.connections());
  });

  it('shows those of one port', async () => {
    for (const name of ['c1', 'veth1']) {
      expect(await served.json('connections', '--port', name)).toHaveLength(1);
    }
    expect(await served.text('connections', '--port', 'uplink')).toBe('no connections\n');
    const { code, stderr } = await served.ctl(['connections', '--port', 'nosuch']);
    expect([code, stderr]).toEqual([5, expect.stringContaining('no port "nosuch"')]);
  });
});
