// cli/commands/diff.test.ts — compares, and leaves everything as it is.

import { describe, expect, it } from 'vitest';
import { documentText } from '../../control/fake-switch.ts';
import { servedCtl } from '../served-ctl.ts';

const served = servedCtl();

describe('vtepctl diff', () => {
  it('shows what would change', async () => {
    const stdin = documentText.replace('vni: 100', 'vni: 101').replace(/ {2}- { name: c2.*\n/, '');
    const { code, stdout } = await served.ctl(['diff', '-f', '-'], { stdin });
    expect([code, stdout]).toEqual([0, '~ network blue\n    vni: 100 -> 101\n- port c2\n']);
    const json = await served.ctl(['diff', '-f', '-', '-o', 'json'], { stdin });
    expect(JSON.parse(json.stdout)).toMatchObject([{ name: 'blue' }, { change: 'removed' }]);
    expect(served.api.revision).toBe(2);
  });

  it('says when there is nothing', async () => {
    const { stdout } = await served.ctl(['diff', '-f', '-'], { stdin: documentText });
    expect(stdout).toBe('no difference\n');
  });
});
