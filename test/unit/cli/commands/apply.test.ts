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
    expect(Object.keys(result)).toEqual(['revision', 'hash', 'changes', 'notInForce', 'tookMs']);
    expect(result.changes).toHaveLength(5);
  });
});
