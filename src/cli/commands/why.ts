// cli/commands/why.ts — `vtepctl why`: why real packets fare as they do.
//
// Where `vtepctl trace` tells of a packet that one imagines, this tells of packets that were there:
// what decided them, and their way by the rules of today, shown as trace does.

import { Buffer } from 'node:buffer';
import type { WhyPacket, WhyResult } from '../../control/switch-api.ts';
import { SwitchError } from '../../lib/errors.ts';
import { bytes, count, duration } from '../human.ts';
import { type Io, paint, widthOf } from '../io.ts';
import { facts, print } from '../output.ts';
import { packetLine } from '../packet-summary.ts';
import type { Verb } from '../verb.ts';
import { renderTrace } from './trace.ts';

export const verb: Verb = {
  name: 'why',
  summary: 'explain what happens to real packets: which rule, since when',
  description:
    'Explains packets that were there: those of a connection, of a flow, or the last one of a\n' +
    'port that was dropped. Tells the verdict in force, the rule and revision behind it, the\n' +
    'way stage by stage, and of a denied packet the rule that came nearest to letting it pass.',
  arguments: [
    [
      '<words...>',
      'PROTOCOL SOURCE[:PORT] DESTINATION[:PORT], or the id of a flow, or last-drop PORT',
    ],
  ],
  examples: [
    ['vtepctl why tcp 10.0.0.1:40000 10.0.0.2:80', 'a connection, both ways'],
    ['vtepctl why tcp 10.0.0.1 10.0.0.2:80', 'from any port'],
    ['vtepctl why 17', 'flow 17 of "vtepctl flows"'],
    ['vtepctl why last-drop web1', 'the last packet from or to port web1 that was dropped'],
  ],
  async run(context) {
    const about = context.args.map((word) => word ?? '').join(' ');
    if (about.trim() === '') {
      throw new SwitchError('ERR_ARGUMENT_INVALID', 'why needs something to explain');
    }
    const result = await context.client.why(about);
    await print(context, result, () => renderWhy(context.io, result));
  },
};

async function renderWhy(io: Io, { packets }: WhyResult): Promise<string> {
  const parts: string[] = [];
  for (const packet of packets) parts.push(await renderPacket(io, packet));
  return parts.join('\n');
}

async function renderPacket(io: Io, packet: WhyPacket): Promise<string> {
  const { drop, dropHelp, agrees, trace } = packet;
  const verdict =
    drop === '' ? paint(io, 'green', 'forwarded') : `${paint(io, 'red', drop)}: ${dropHelp}`;
  const entries: [string, string][] = [
    [sourceNames[packet.source], carried(packet)],
    ['in force', verdict],
    ['decided', deciderOf(packet)],
  ];
  if (packet.packet !== '')
    entries.push(['packet', packetLine(Buffer.from(packet.packet, 'base64'))]);
  if (!agrees) entries.push(['but', disagreement(packet)]);
  const head = facts(entries, widthOf(io));
  return `${head}\nBy the rules of revision ${trace.revision}:\n\n${await renderTrace(io, trace)}`;
}

const sourceNames = { connection: 'connection', flow: 'flow', drop: 'dropped' } as const;

function carried(packet: WhyPacket): string {
  const { source, state, idleSeconds, ageSeconds, flow } = packet;
  const parts = [packet.packets === 1 ? '1 packet' : `${count(packet.packets)} packets`];
  if (source !== 'drop') parts.push(bytes(packet.bytes));
  if (state !== '') parts.unshift(state);
  if (ageSeconds !== null) parts.push(`began ${duration(ageSeconds)} ago`);
  if (idleSeconds !== null) parts.push(`last ${duration(idleSeconds)} ago`);
  if (flow !== 0) parts.push(`flow ${flow}`);
  return parts.join(', ');
}

function deciderOf({ decidedBy, origin, path, decidedRevision }: WhyPacket): string {
  const revision = decidedRevision === 0 ? '' : `, revision ${decidedRevision}`;
  if (decidedBy === '') return `by no rule${revision}`;
  const place = path === '' ? origin : path;
  return `by ${decidedBy}${place === '' ? '' : ` (${place}${revision})`}`;
}

function disagreement({ source, trace, drop }: WhyPacket): string {
  const now = trace.drop === '' ? 'forwarded' : trace.drop;
  if (source === 'drop' && trace.drop !== drop) {
    return `rules alone would say ${now}: they have changed, or the datapath dropped it by itself`;
  }
  return `by the rules of today it would be ${now}: they have just changed, flows will follow`;
}
