// cli/commands/get.test.ts — objects of every kind, in every form.

import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { pluralWords } from '../../../../src/control/kinds.ts';
import { servedCtl } from '../served-ctl.ts';

const served = servedCtl();

describe('vtepctl get', () => {
  it.each(pluralWords)('%s is a table', async (kind) => {
    expect(await served.text('get', kind)).toMatchSnapshot();
  });

  it('shows everything about one object', async () => {
    expect(await served.text('get', 'port', 'c1')).toMatchSnapshot();
    expect(await served.text('get', 'host', 'h2')).toContain('waiting: no route to 192.0.2.2');
  });

  it('gives an array of a kind and an object of a name', async () => {
    const all = await served.json('get', 'po');
    expect(all.map(({ name }: { name: string }) => name)).toEqual(['c1', 'c2']);
    expect(await served.json('get', 'ports', 'c1')).toEqual(all[0]);
    expect(parse(await served.text('get', 'ports', '-o', 'yaml'))).toEqual(all);
  });
});
