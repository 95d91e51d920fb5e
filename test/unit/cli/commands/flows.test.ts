// cli/commands/flows.test.ts — all flows, those of a port, the busiest first.

import { describe, expect, it } from 'vitest';
import { servedCtl } from '../served-ctl.ts';

const served = servedCtl();

async function ids(...argv: string[]): Promise<number[]> {
  const flows = await served.json('flows', ...argv);
  return flows.map(({ id }: { id: number }) => id);
}

describe('vtepctl flows', () => {
  it('is a table', async () => {
    expect(await served.text('flows')).toMatchSnapshot();
  });

  it('gives all flows to scripts as they are', async () => {
    expect(await served.json('flows')).toEqual(served.api.flowList);
  });

  it.each([
    [
      ['--port', 'c1'],
      [1, 3],
    ],
    [
      ['--port', 'veth1'],
      [1, 3],
    ],
    [['--port', '2'], [2]],
    [
      ['--sort', 'packets'],
      [2, 1, 3],
    ],
    [
      ['--sort', 'idle'],
      [3, 1, 2],
    ],
    [
      ['--sort', 'age'],
      [3, 2, 1],
    ],
    [['--sort', 'bytes', '--limit', '1'], [2]],
  ])('with %j shows %j', async (argv, expected) => {
    expect(await ids(...argv)).toEqual(expected);
  });

  it('says that there are none', async () => {
    const { flowList } = served.api;
    served.api.flowList = [];
    expect(await served.text('flows')).toBe('no flows\n');
    expect(await served.json('flows')).toEqual([]);
    served.api.flowList = flowList;
  });
});
