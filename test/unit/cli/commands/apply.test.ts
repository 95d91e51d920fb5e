// cli/commands/apply.test.ts — what changed, and what is not in force.

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { documentText } from '../../control/fake-switch.ts';
import { servedCtl } from '../served-ctl.ts';

const served = servedCtl({ hasDocument: false });

describe('vtepctl apply', () => {
  it('shows changes and what is not in force, then that nothing changed', async () => {
    const first = await served.ctl(['apply', '-f', '-'], { stdin: documentText });
    expect(first.code).toBe(0);
    expect(first.stdout).toMatchSnapshot();
    const file = join(served.directory, 'net.yaml');
    writeFileSync(file, documentText);
    expect(await served.text('apply', '-f', file)).toContain('revision 3: nothing changed, 13 ms');
    expect(served.api.files).toEqual(['(stdin)', file]);
  });

  it('gives the result to scripts', async () => {
    const { stdout } = await served.ctl(['apply', '-f', '-', '-o', 'json'], { stdin: 'hosts: []' });
    const result = JSON.parse(stdout);
    const names = ['revision', 'hash', 'changes', 'notInForce', 'tookMs', 'kept'];
    expect(Object.keys(result)).toEqual(names);
    expect(result.changes).toHaveLength(5);
  });

  it('says what becomes of live connections, and checks that it makes sense', async () => {
    const apply = ['apply', '-f', '-', '--existing'];
    const kept = await served.ctl([...apply, 'keep'], { stdin: documentText });
    expect(kept.stdout).toContain('1 connection that the document denies may go on for now');
    await served.ctl([...apply, 'drain', '--drain-seconds', '7'], { stdin: documentText });
    expect(served.api.options.at(-1)).toEqual({ existing: 'drain', drainSeconds: 7 });
    const wrong = await served.ctl([...apply, 'forever'], { stdin: documentText });
    expect([wrong.code, wrong.stderr]).toEqual([2, expect.stringContaining('keep, drain, reset')]);
    const senseless = await served.ctl([...apply, 'keep', '--drain-seconds', '7']);
    expect([senseless.code, senseless.stderr]).toEqual([2, expect.stringContaining('drain only')]);
  });
});
