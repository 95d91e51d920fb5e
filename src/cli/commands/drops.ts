// cli/commands/drops.ts — `vtepctl drops`: every reason for which packets ended, with counts.
//
// Reasons that never happened are hidden unless asked for.

import { Buffer } from 'node:buffer';
import type { DropView, PortCounters, RecentPacket } from '../../control/switch-api.ts';
import { SwitchError } from '../../lib/errors.ts';
import { count } from '../human.ts';
import { print, printItem, table } from '../output.ts';
import { packetLine } from '../packet-summary.ts';
import { repeat, wipe } from '../repeat.ts';
import type { Context, Verb } from '../verb.ts';

const shownPortsMax = 4;

export const verb: Verb = {
  name: 'drops',
  summary: 'show why packets were dropped',
  description:
    'Shows every reason for which packets were dropped, how many, at which ports, and what it\n' +
    'means; then port by port the rules that dropped, with a recent packet of each. Counts are\n' +
    'since the start of the datapath, those of rules since the start of vtepd.',
  options: [
    { flags: '--all', description: 'also reasons that never happened' },
    { flags: '--port <port>', description: 'only drops of packets that came in by this port' },
    { flags: '--watch', description: 'again every second, with what was added' },
  ],
  examples: [
    ['vtepctl drops', 'what happened'],
    ['vtepctl drops --watch', 'what happens'],
    ['vtepctl drops --port web1', 'what happened at one port'],
    ['vtepctl drops --all -o json', 'all reasons as a JSON array'],
  ],
  async run(context) {
    if (context.options.watch === true) return watch(context);
    const drops = await read(context);
    return print(context, drops, () => renderDrops(drops));
  },
};

async function read({ client, options }: Context): Promise<readonly DropView[]> {
  const { port } = options;
  const all = await client.drops();
  const drops = port === undefined ? all : atPort(all, await knownPort(client, String(port)));
  return options.all === true ? drops : drops.filter(({ packets }) => packets > 0);
}

type Wanted = Pick<PortCounters, 'port' | 'uplink'>;

/** The port as drops name it. */
async function knownPort(client: Context['client'], wanted: string): Promise<Wanted> {
  const { ports } = await client.top();
  const found = ports.find(({ port, device }) => [port, device].includes(wanted));
  if (found !== undefined) return found;
  throw new SwitchError('ERR_PORT_NOT_FOUND', `this host has no port "${wanted}"`);
}

function atPort(drops: readonly DropView[], wanted: Wanted): readonly DropView[] {
  return drops.map((drop) => {
    const ports = drop.ports.filter(({ port }) => port === wanted.port);
    const names = wanted.uplink ? [wanted.port, 'uplink'] : [wanted.port];
    const rules = drop.rules.filter(({ port }) => names.includes(port));
    return { ...drop, ports, rules, packets: ports[0]?.packets ?? 0 };
  });
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

async function renderDrops(
  drops: readonly DropView[],
  before?: ReadonlyMap<string, number>,
): Promise<string> {
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
  const rules = await renderRules(drops);
  return `${await table(columns, rows)}${rules === '' ? '' : `\n${rules}`}`;
}

/** Which rules dropped at which ports, and a packet of each; empty: nothing is known. */
async function renderRules(drops: readonly DropView[]): Promise<string> {
  const found = drops.flatMap(({ reason, rules }) => rules.map((rule) => ({ reason, ...rule })));
  if (found.length === 0) return '';
  const columns = [
    { head: 'REASON' },
    { head: 'PORT' },
    { head: 'RULE' },
    { head: 'PACKETS', isNumber: true },
    { head: 'A RECENT PACKET' },
  ];
  const rows = found.map(({ reason, port, rule, path, packets, recent }) => [
    reason,
    port,
    path === '' ? rule : `${rule} (${path})`,
    packets === null ? '' : count(packets),
    recent === null ? '' : recentText(recent),
  ]);
  return table(columns, rows);
}

function recentText({ timeMs, bytes }: RecentPacket): string {
  const time = new Date(timeMs).toISOString().slice(11, 19);
  return `${time} ${packetLine(Buffer.from(bytes, 'base64'))}`;
}

function portsText({ ports }: DropView): string {
  const counted = ports.filter(({ packets }) => packets > 0);
  const most = counted.sort((one, other) => other.packets - one.packets).slice(0, shownPortsMax);
  const text = most.map(({ port, packets }) => `${port} ${count(packets)}`).join(', ');
  const hidden = counted.length - most.length;
  return hidden > 0 ? `${text}, ${hidden} more` : text;
}
