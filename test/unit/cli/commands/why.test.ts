// cli/commands/why.test.ts — real packets explained: a connection, a drop, and nothing.

import { describe, expect, it } from 'vitest';
import { servedCtl } from '../served-ctl.ts';

const served = servedCtl();

describe('vtepctl why', () => {
  it('shows what is in force for a connection, and its way', async () => {
    expect(await served.text('why', 'tcp', '10.0.0.1:40000', '10.0.0.2:80')).toMatchSnapshot();
    expect(served.api.asked.at(-1)).toBe('tcp 10.0.0.1:40000 10.0.0.2:80');
  });

  it('shows a dropped packet, its reason and the nearest rule', async () => {
    expect(await served.text('why', 'last-drop', 'c1')).toMatchSnapshot();
  });

  it('gives the whole answer to scripts', async () => {
    expect(await served.json('why', '17')).toEqual(await served.api.why({ about: '17' }));
  });

  it('fails by name when there is nothing to explain', async () => {
    const none = await served.ctl(['why', '99']);
    expect([none.code, none.stderr]).toEqual([5, expect.stringContaining('there is no flow 99')]);
    const nothing = await served.ctl(['why', ' ']);
    expect([nothing.code, nothing.stderr]).toEqual([2, expect.stringContaining('something')]);
  });
});
