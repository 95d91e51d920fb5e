// cli/commands/drops.ts — `vtepctl drops`: every reason for which packets ended, with counts.
//
// Reasons that never happened are hidden unless asked for.

import type { DropView } from '../../control/switch-api.ts';
import { count } from '../human.ts';
import { print, printItem, table } from '../output.ts';
import { repeat, wipe } from '../repeat.ts';
import type { Context, Verb } from '../verb.ts';

const shownPortsMax = 4;

export const verb: Verb = {
  name: 'drops',
  summary: 'show why packets were dropped',
  description:
    'Shows every reason for which packets were dropped, how many, at which ports, and what it\n' +
    'means. Counts are since the start of the datapath.',
  options: [
    { flags: '--all', description: 'also reasons that never happened' },
    { flags: '--watch', description: 'again every second, with what was added' },
  ],
  examples: [
    ['vtepctl drops', 'what happened'],
    ['vtepctl drops --watch', 'what happens'],
    ['vtepctl drops --all -o json', 'all reasons as a JSON array'],
  ],
  async run(context) {
    if (context.options.watch === true) return watch(context);
    const drops = await read(context);
    return print(context, drops, () => renderDrops(drops));
  },
};

async function read({ client, options }: Context): Promise<readonly DropView[]> {
  const drops = await client.drops();
  return options.all === true ? drops : drops.filter(({ packets }) => packets > 0);
}

async function watch(context: Context): Promise<void> {
  let before: ReadonlyMap<string, number> | undefined;
  await repeat(context.io, {}, async () => {
    const drops = await read(context);
    await printItem(context, drops, async () => {
      return wipe(context.io) + (await renderDrops(drops, before));
    });
    before = new Map(drops.map(({ reason, packets }) => [reason, packets]));
  });
}

function renderDrops(
  drops: readonly DropView[],
  before?: ReadonlyMap<string, number>,
): string | Promise<string> {
  if (drops.length === 0) return 'no drops\n';
  const added = before === undefined ? [] : [{ head: 'ADDED', isNumber: true }];
  const columns = [
    { head: 'REASON' },
    { head: 'PACKETS', isNumber: true },
    ...added,
    { head: 'PORTS' },
    { head: 'MEANING' },
  ];
  const rows = drops.map((drop) => [
    drop.reason,
    count(drop.packets),
    ...(before === undefined ? [] : [count(drop.packets - (before.get(drop.reason) ?? 0))]),
    portsText(drop),
    drop.help,
  ]);
  return table(columns, rows);
}

function portsText({ ports }: DropView): string {
  const counted = ports.filter(({ packets }) => packets > 0);
  const most = counted.sort((one, other) => other.packets - one.packets).slice(0, shownPortsMax);
  const text = most.map(({ port, packets }) => `${port} ${count(packets)}`).join(', ');
  const hidden = counted.length - most.length;
  return hidden > 0 ? `${text}, ${hidden} more` : text;
}
