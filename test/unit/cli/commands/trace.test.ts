// cli/commands/trace.test.ts — the way of a packet, forwarded and dropped.

import { describe, expect, it } from 'vitest';
import { servedCtl } from '../served-ctl.ts';

const served = servedCtl();

describe('vtepctl trace', () => {
  it('shows stages, megaflow, actions and verdict', async () => {
    expect(await served.text('trace', 'in_port=c1,eth_dst=02:00:00:00:01:02')).toMatchSnapshot();
    expect(served.api.traced).toEqual(['in_port=c1,eth_dst=02:00:00:00:01:02']);
  });

  it('explains a drop', async () => {
    const text = await served.text('trace', 'in_port=c1,eth_dst=ff:ff:ff:ff:ff:ff');
    expect(text).toMatch(/^dropped +unknown_mac: no port of the network has the destination MAC$/m);
  });

  it('gives the whole answer to scripts', async () => {
    const result = await served.json('trace', 'in_port=c1');
    expect(result).toEqual(served.api.trace({ key: 'in_port=c1' }));
  });
});
