// cli/commands/connections.ts — `vtepctl connections`: who talks to whom right now.
//
// What the exact caches hold: connections whose packets have passed lately, with what they carried.

import type { ConnectionView } from '../../control/switch-api.ts';
import { SwitchError } from '../../lib/errors.ts';
import { bytes, count, duration } from '../human.ts';
import { print, table } from '../output.ts';
import type { Context, Verb } from '../verb.ts';

export const verb: Verb = {
  name: 'connections',
  summary: 'show live connections',
  description:
    'Shows the connections whose packets pass now, as the datapath remembers them: ends, state,\n' +
    'what they carried both ways. "kept": it goes on although the rules of today deny it.',
  options: [
    { flags: '--port <port>', description: 'only those that come in by this port' },
    { flags: '--limit <connections>', description: 'show at most so many', range: [1, 1e9] },
  ],
  examples: [
    ['vtepctl connections', 'all of them'],
    ['vtepctl connections --port web1 --limit 20', 'some of one port'],
    ['vtepctl connections -o json', 'a JSON array'],
  ],
  async run(context) {
    const { client, options } = context;
    let found = await client.connections();
    if (options.port !== undefined) {
      const wanted = await knownPort(context, String(options.port));
      found = found.filter(({ port }) => port === wanted);
    }
    if (options.limit !== undefined) found = found.slice(0, Number(options.limit));
    await print(context, found, () => renderConnections(found));
  },
};

/** The port by the name that connections have, whether it was called so or by its device. */
async function knownPort({ client }: Context, wanted: string): Promise<string> {
  const { ports } = await client.top();
  const found = ports.find(({ port, device }) => [port, device].includes(wanted));
  if (found !== undefined) return found.port;
  throw new SwitchError('ERR_PORT_NOT_FOUND', `this host has no port "${wanted}"`);
}

/** One line per connection. */
export function renderConnections(list: readonly ConnectionView[]): string | Promise<string> {
  if (list.length === 0) return 'no connections\n';
  const numbers = ['PACKETS', 'BYTES', 'REPLIES', 'REPLY BYTES', 'AGE', 'IDLE'];
  const columns = [
    ...['PROTOCOL', 'SOURCE', 'DESTINATION', 'PORT', 'STATE'].map((head) => ({ head })),
    ...numbers.map((head) => ({ head, isNumber: true })),
  ];
  return table(columns, list.map(cellsOf));
}

function cellsOf(one: ConnectionView): string[] {
  return [
    one.protocol,
    one.source,
    one.destination,
    one.port,
    one.kept ? `${one.state}, kept` : one.state,
    count(one.packets),
    bytes(one.bytes),
    count(one.replyPackets),
    bytes(one.replyBytes),
    duration(one.ageSeconds),
    duration(one.idleSeconds),
  ];
}
