// control/groups.test.ts — groups by name and number.

import { describe, expect, it } from 'vitest';
import { groupId, groupName } from '../../../src/control/groups.ts';

describe('groups', () => {
  it('are found by name and by number', async () => {
    expect(await groupId('root')).toBe(0);
    expect(await groupId('4711')).toBe(4711);
    expect(await groupName(0)).toBe('root');
  });

  it('that nobody knows are undefined, or their number', async () => {
    expect(await groupId('no-such-group')).toBeUndefined();
    expect(await groupName(4_000_000)).toBe('4000000');
    expect(await groupId('root', '/nonexistent')).toBeUndefined();
  });
});
