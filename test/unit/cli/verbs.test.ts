// cli/verbs.test.ts — only the verb that is asked for is loaded.

import { describe, expect, it } from 'vitest';
import { loadVerbs, verbNames } from '../../../src/cli/verbs.ts';

describe('verbs', () => {
  it('are loaded one by one', async () => {
    const names = async (...argv: string[]) => (await loadVerbs(argv)).map(({ name }) => name);
    expect(await names('--socket', 's', 'get', 'ports')).toEqual(['get']);
    expect(await names('--help')).toEqual(verbNames);
    expect(await names('help', 'get')).toEqual(verbNames);
    expect(await names('gte')).toEqual(verbNames);
  });

  it('explain themselves in full sentences', async () => {
    for (const { description, examples, name } of await loadVerbs([])) {
      expect(description).toMatch(/^[A-Z][\s\S]*\.$/);
      expect(examples.every(([line]) => line.includes(`vtepctl ${name}`))).toBe(true);
    }
  });
});
