// cli/commands/diff.ts — `vtepctl diff`: what apply would change, without changing it.
//
// The daemon compares, with the same code that apply uses.

import type { DiffResult } from '../../control/switch-api.ts';
import { fileOption, readDocument } from '../document-file.ts';
import { print, table } from '../output.ts';
import type { Verb } from '../verb.ts';

export const verb: Verb = {
  name: 'diff',
  summary: 'show what applying a document would change',
  description:
    'Compares a document with the one in force and shows what "vtepctl apply" would change:\n' +
    '+ added, - removed, ~ changed. Then the live connections that the change would cut, and\n' +
    'what is tried in vain now and would be let through. Nothing is changed.',
  options: [fileOption],
  examples: [
    ['vtepctl diff -f net.yaml', 'compare a file'],
    ['vtepctl diff -f net.yaml -o json', 'changes and connections as a JSON object'],
  ],
  async run(context) {
    const { text, name } = await readDocument(String(context.options.file), context.io);
    const answer = await context.client.diff(text, name);
    const { text: changes, ...result } = answer;
    await print(context, result, async () => {
      return `${changes || 'no difference\n'}${await renderConnections(result)}`;
    });
  },
};

async function renderConnections(result: DiffResult): Promise<string> {
  const { connections, connectionCount } = result;
  if (connectionCount === 0) return '';
  const columns = ['CHANGE', 'PROTOCOL', 'SOURCE', 'DESTINATION', 'STATE', 'BY'];
  const rows = connections.map(({ change, connection, rule, path, canStay }) => [
    change === 'cut' && !canStay ? 'cut for certain' : change,
    connection.protocol,
    connection.source,
    connection.destination,
    connection.state,
    path === '' ? rule : `${rule} (${path})`,
  ]);
  const hidden = connectionCount - connections.length;
  const more = hidden > 0 ? `and ${hidden} more\n` : '';
  const lines = await table(
    columns.map((head) => ({ head })),
    rows,
  );
  const advice = connections.some(({ canStay }) => canStay)
    ? '"vtepctl apply --existing keep" or "drain" lets those go on that are marked "cut".\n'
    : '';
  return `\nLive connections:\n${lines}${more}${advice}`;
}
