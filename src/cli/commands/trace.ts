// cli/commands/trace.ts — `vtepctl trace`: the way of one packet, stage by stage, and why.
//
// The daemon answers with the function that answers upcalls; nothing is sent.

import type { TraceResult } from '../../control/switch-api.ts';
import { SwitchError } from '../../lib/errors.ts';
import { type Io, paint, widthOf } from '../io.ts';
import { facts, fold, print, stacked, table } from '../output.ts';
import type { Verb } from '../verb.ts';

export const verb: Verb = {
  name: 'trace',
  summary: 'show what would happen to a packet, and why',
  description:
    'Takes a packet through the pipeline on paper: every stage, the rule that decided, the flow\n' +
    'that would be installed, the verdict. Fields are those of "vtepctl flows"; ports are named\n' +
    'or numbered. Fields that are not given are zero.',
  arguments: [['<key>', 'fields of the packet: in_port=web1,eth_dst=...,ip_dst=...']],
  examples: [
    [
      "vtepctl trace 'in_port=c1,eth_src=02:00:00:00:01:01,eth_dst=02:00:00:00:01:02'",
      'from MAC to MAC',
    ],
    ['vtepctl trace "$MATCH"', 'a match as "vtepctl flows" shows it'],
  ],
  async run(context) {
    const key = (context.args[0] ?? '').trim();
    if (key === '') {
      throw new SwitchError('ERR_ARGUMENT_INVALID', 'the packet is empty: it needs fields', {
        remedy: 'Begin with the port that it comes in by: in_port=c1,eth_type=0x0800,...',
      });
    }
    const result = await context.client.trace(key);
    await print(context, result, () => renderTrace(context.io, result));
  },
};

/** A packet, its way stage by stage, and how that ends. */
export async function renderTrace(io: Io, result: TraceResult): Promise<string> {
  const { drop, dropHelp } = result;
  const verdict =
    drop === '' ? paint(io, 'green', 'forwarded') : `${paint(io, 'red', drop)}: ${dropHelp}`;
  const width = widthOf(io);
  const end = facts(
    [
      ['megaflow', result.megaflow || 'any'],
      ['actions', result.actions || 'none'],
      [drop === '' ? 'verdict' : 'dropped', verdict],
      ['decided', deciderOf(result)],
      ...nearestFact(result),
    ],
    width,
  );
  const packet = width === undefined ? result.key : fold(result.key, width).join('\n');
  return `${packet}\n\n${await stages(io, result, width)}\n${end}`;
}

/** What would have had to be different. */
function nearestFact({ nearest }: TraceResult): [string, string][] {
  if (nearest === null) return [];
  const { rule, origin, path, differs } = nearest;
  return [['nearest', `${rule} (${path === '' ? origin : path}): ${differs.join('; ')}`]];
}

/** The rule that had the last word: what it is, where it stands, since when that is in force. */
function deciderOf({ steps, revision }: TraceResult): string {
  const last = steps.at(-1);
  if (last === undefined || last.rule === '') return `by no rule, revision ${revision}`;
  const place = last.path === '' ? last.origin : last.path;
  return `by ${last.rule} (${place}, revision ${revision})`;
}

/** One line per stage for programs; in a terminal the rule stands above what it did. */
function stages(io: Io, { steps }: TraceResult, width: number | undefined): Promise<string> {
  const named = steps.map((step) => {
    const origin = step.path === '' ? step.origin : step.path;
    return { ...step, origin, stage: paint(io, 'cyan', step.stage) };
  });
  if (width !== undefined) {
    const columns = [{ head: 'STAGE' }, { head: 'FROM' }, { head: 'RULE, AND WHAT IT DID' }];
    const rows = named.map(({ stage, rule, origin, detail }) => {
      return { cells: [stage, origin], texts: [rule, detail] };
    });
    return stacked(columns, rows, width);
  }
  const columns = [{ head: 'STAGE' }, { head: 'RULE' }, { head: 'FROM' }, { head: 'DETAIL' }];
  return table(
    columns,
    named.map(({ stage, rule, origin, detail }) => [stage, rule, origin, detail]),
  );
}
