// cli/commands/diff.test.ts — compares, and leaves everything as it is.

import { describe, expect, it } from 'vitest';
import { documentText } from '../../control/fake-switch.ts';
import { servedCtl } from '../served-ctl.ts';

const served = servedCtl();

describe('vtepctl diff', () => {
  it('shows what would change', async () => {
    const stdin = documentText.replace('vni: 100', 'vni: 101').replace(/ {2}- { name: c2.*\n/, '');
    const { code, stdout } = await served.ctl(['diff', '-f', '-'], { stdin });
    expect(code).toBe(0);
    expect(stdout).toMatchInlineSnapshot(`
      "~ network blue
          vni: 100 -> 101
      - port c2

      Live connections:
      CHANGE  PROTOCOL  SOURCE          DESTINATION  STATE        BY
      cut     tcp       10.0.0.1:40000  10.0.0.2:80  established  c2/deny (ports[c2].securityGroups)
      "vtepctl apply --existing keep" or "drain" lets those go on that are marked "cut".
      "
    `);
    const json = await served.ctl(['diff', '-f', '-', '-o', 'json'], { stdin });
    expect(JSON.parse(json.stdout)).toMatchObject({
      changes: [{ name: 'blue' }, { change: 'removed' }],
      connections: [{ change: 'cut', connection: { protocol: 'tcp' } }],
    });
    expect(served.api.revision).toBe(2);
  });

  it('says when there is nothing', async () => {
    const { stdout } = await served.ctl(['diff', '-f', '-'], { stdin: documentText });
    expect(stdout).toBe('no difference\n');
  });
});
