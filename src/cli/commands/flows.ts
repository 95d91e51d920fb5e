// cli/commands/flows.ts — `vtepctl flows`: what the datapath does by itself, without asking.
//
// The text of a match is what `vtepctl trace` reads.

import type { FlowView } from '../../control/switch-api.ts';
import { SwitchError } from '../../lib/errors.ts';
import { bytes, count, duration } from '../human.ts';
import { type Io, widthOf } from '../io.ts';
import { print, stacked, table } from '../output.ts';
import type { Context, Verb } from '../verb.ts';

const orders = ['packets', 'bytes', 'idle', 'age', 'id'] as const;
type Order = (typeof orders)[number];

export const verb: Verb = {
  name: 'flows',
  summary: 'show the megaflows in the datapath',
  description:
    'Shows the megaflows in the datapath: match, actions, what they carried, and the rules that\n' +
    'made them. Fields that a flow does not look at are not shown.',
  options: [
    { flags: '--port <port>', description: 'only flows of packets that came in by this port' },
    { flags: '--sort <column>', description: 'largest first', choices: orders },
    { flags: '--limit <flows>', description: 'show at most so many', range: [1, 1e9] },
  ],
  examples: [
    ['vtepctl flows', 'all flows'],
    ['vtepctl flows --port web1 --sort packets', 'busiest flows of one port first'],
    ['vtepctl flows -o json', 'a JSON array'],
  ],
  async run(context) {
    const flows = await chosen(context);
    await print(context, flows, () => renderFlows(context.io, flows));
  },
};

async function chosen({ client, options }: Context): Promise<readonly FlowView[]> {
  let flows = [...(await client.flows())];
  if (options.port !== undefined) {
    const names = await portNames(String(options.port), client);
    flows = flows.filter(({ match }) => names.has(inPortOf(match)));
  }
  if (options.sort !== undefined) flows.sort(comparisons[options.sort as Order]);
  return options.limit === undefined ? flows : flows.slice(0, Number(options.limit));
}

const comparisons: Readonly<Record<Order, (one: FlowView, other: FlowView) => number>> = {
  packets: (one, other) => other.packets - one.packets,
  bytes: (one, other) => other.bytes - one.bytes,
  // A flow without a packet has been idle all its life.
  idle: (one, other) =>
    (other.idleSeconds ?? other.ageSeconds) - (one.idleSeconds ?? one.ageSeconds),
  age: (one, other) => other.ageSeconds - one.ageSeconds,
  id: (one, other) => one.id - other.id,
};

function inPortOf(match: string): string {
  return /(?:^|,)in_port=([^,]*)/.exec(match)?.[1] ?? '';
}

/** A match names a port by its name, its device or its number: all that mean the wanted one. */
async function portNames(wanted: string, client: Context['client']): Promise<ReadonlySet<string>> {
  const { ports } = await client.top();
  const found = ports.filter(({ port, device, number }) =>
    [port, device, `${number}`].includes(wanted),
  );
  if (found.length === 0) {
    throw new SwitchError('ERR_PORT_NOT_FOUND', `this host has no port "${wanted}"`);
  }
  return new Set(found.flatMap(({ port, device, number }) => [port, device, `${number}`]));
}

const numberColumns = ['ID', 'PACKETS', 'BYTES', 'IDLE'].map((head) => ({ head, isNumber: true }));

/** One line per flow for programs; in a terminal its match, actions and rules have lines each. */
function renderFlows(io: Io, flows: readonly FlowView[]): string | Promise<string> {
  if (flows.length === 0) return 'no flows\n';
  const width = widthOf(io);
  const numbers = (flow: FlowView) => [
    `${flow.id}`,
    count(flow.packets),
    bytes(flow.bytes),
    flow.idleSeconds === null ? 'never' : duration(flow.idleSeconds),
  ];
  const texts = ({ match, actions, decision }: FlowView) => [
    match || 'any',
    actions,
    decision.join(' > '),
  ];
  if (width === undefined) {
    const columns = [{ head: 'MATCH' }, { head: 'ACTIONS' }, { head: 'DECISION' }];
    const rows = flows.map((flow) => [...numbers(flow), ...texts(flow)]);
    return table([...numberColumns, ...columns], rows);
  }
  const rows = flows.map((flow) => {
    const [match = '', actions = '', decision = ''] = texts(flow);
    return { cells: numbers(flow), texts: [match, `-> ${actions}`, `by ${decision}`] };
  });
  return stacked([...numberColumns, { head: 'MATCH -> ACTIONS BY RULES' }], rows, width);
}
