// cli/commands/version.ts — `vtepctl version`: ours, and that of the daemon when one answers.
//
// Two versions that differ are the first thing to look at when something is odd.

import { DaemonUnreachable } from '../../control/client.ts';
import { facts, print } from '../output.ts';
import type { Verb } from '../verb.ts';

export const verb: Verb = {
  name: 'version',
  summary: 'print the versions of vtepctl and vtepd',
  description: 'Prints the version of vtepctl, and that of vtepd when it answers.',
  examples: [['vtepctl version', 'both versions']],
  async run(context) {
    const daemon = await context.client.status().then(
      (status) => status.version,
      (error: unknown) => {
        if (error instanceof DaemonUnreachable) return null;
        throw error;
      },
    );
    const versions = { vtepctl: context.version, vtepd: daemon };
    await print(context, versions, () =>
      facts([
        ['vtepctl', context.version],
        ['vtepd', daemon ?? 'does not answer'],
      ]),
    );
  },
};
