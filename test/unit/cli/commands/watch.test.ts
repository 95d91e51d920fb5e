// cli/commands/watch.test.ts — events as lines.

import { describe, expect, it } from 'vitest';
import { Feed } from '../../control/fake-switch.ts';
import { servedCtl } from '../served-ctl.ts';

const served = servedCtl();
const events = [
  { timeMs: 1_767_323_045_000, kind: 'port', name: 'c1', message: 'link is up' },
  { timeMs: 1_767_323_046_000, kind: 'tunnel', name: 'h2', message: 'resolved' },
] as const;

async function watch(...argv: string[]): Promise<string> {
  served.api.events = new Feed();
  served.api.events.push(...events);
  served.api.events.end();
  return served.text('watch', ...argv);
}

describe('vtepctl watch', () => {
  it('prints a line for every event', async () => {
    expect(await watch()).toBe(
      '2026-01-02T03:04:05.000Z  port      c1  link is up\n' +
        '2026-01-02T03:04:06.000Z  tunnel    h2  resolved\n',
    );
  });

  it('prints a JSON object or a YAML document for every event', async () => {
    const lines = (await watch('-o', 'json')).trimEnd().split('\n');
    expect(lines.map((line) => JSON.parse(line))).toEqual(events);
    expect((await watch('-o', 'yaml')).split('---\n')).toHaveLength(3);
  });
});
