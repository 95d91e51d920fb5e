// cli/commands/version.test.ts — both versions, or one.

import { describe, expect, it } from 'vitest';
import { runVtepctl } from '../run-vtepctl.ts';
import { servedCtl } from '../served-ctl.ts';

const served = servedCtl();

describe('vtepctl version', () => {
  it('is that of both programs', async () => {
    expect(await served.text('version')).toMatch(/^vtepctl {2}[\d.]+\nvtepd {4}0\.1\.0\n$/);
    expect(await served.json('version')).toMatchObject({ vtepd: '0.1.0' });
  });

  it('does without the daemon', async () => {
    const { code, stdout } = await runVtepctl(['--socket', '/nonexistent/s', 'version']);
    expect(code).toBe(0);
    expect(stdout).toContain('vtepd    does not answer');
  });
});
