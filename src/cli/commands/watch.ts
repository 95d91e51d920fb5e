// cli/commands/watch.ts — `vtepctl watch`: events as they happen.
//
// One line each; with -o json one JSON object per line.

import type { WatchEvent } from '../../control/switch-api.ts';
import { printItem } from '../output.ts';
import type { Verb } from '../verb.ts';

export const verb: Verb = {
  name: 'watch',
  summary: 'print events as they happen',
  description:
    'Prints what happens from now on, until Ctrl-C: documents applied, ports that come and go,\n' +
    'tunnels, the datapath, addresses learned, warnings.',
  examples: [
    ['vtepctl watch', 'for people'],
    ['vtepctl watch -o json | jq \'select(.kind == "port")\'', 'for scripts, one object a line'],
  ],
  async run(context) {
    for await (const event of context.client.watch(context.io.signal)) {
      await printItem(context, event, () => renderEvent(event));
    }
  },
};

function renderEvent({ timeMs, kind, name, message }: WatchEvent): string {
  return `${new Date(timeMs).toISOString()}  ${kind.padEnd(8)}  ${name}  ${message}\n`;
}
