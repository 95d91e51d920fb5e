// cli/commands/status.ts — `vtepctl status`: is everything well, and if not, what is the matter?
//
// Warnings come last, where the eye rests.

import type { SwitchStatus } from '../../control/switch-api.ts';
import { duration } from '../human.ts';
import { type Io, paint } from '../io.ts';
import { facts, print } from '../output.ts';
import type { Verb } from '../verb.ts';

const hashDigits = 12;
const msPerSecond = 1000;

export const verb: Verb = {
  name: 'status',
  summary: 'show daemon, datapath, counts and warnings',
  description: 'Shows the daemon, its datapath, what is in force, and what needs attention.',
  examples: [
    ['vtepctl status', 'for people'],
    ["vtepctl status -o json | jq '.datapath.state'", 'for scripts'],
  ],
  async run(context) {
    const status = await context.client.status();
    await print(context, status, () => renderStatus(context.io, status, Date.now()));
  },
};

/** Status as text; `nowMs` is the time of the Unix epoch. */
export function renderStatus(io: Io, status: SwitchStatus, nowMs: number): string {
  const { host, version, pid, startedMs, revision, hash, counts, datapath, warnings } = status;
  const since = (ms: number) => duration(Math.max(0, nowMs - ms) / msPerSecond);
  const state = paint(io, datapath.state === 'attached' ? 'green' : 'red', datapath.state);
  const workers = `${datapath.workers} worker${datapath.workers === 1 ? '' : 's'}`;
  const entries: [string, string][] = [
    ['host', host],
    ['vtepd', `${version}, pid ${pid}, up ${since(startedMs)}`],
    ['datapath', `${state}, pid ${datapath.pid}, ${workers}, up ${since(datapath.sinceMs)}`],
    ['document', `revision ${revision}, ${hash.slice(0, hashDigits)}`],
    ['ports', `${counts.ports}`],
    ['tunnels', `${counts.tunnels}`],
    ['networks', `${counts.networks}`],
    ['rules', `${counts.rules}`],
    ['flows', `${counts.flows}`],
    ['learned', `${counts.learned}`],
  ];
  if (datapath.restarts > 0) {
    const { lastRecoveryMs } = datapath;
    const took = lastRecoveryMs === null ? '' : `, the last recovery took ${lastRecoveryMs} ms`;
    entries.push(['restarts', `${datapath.restarts} of the datapath${took}`]);
  }
  if (datapath.reconciled !== null) {
    const { kept, replaced, removed, expired } = datapath.reconciled;
    const text = `${kept} flows kept, ${replaced} replaced, ${removed} removed, ${expired} expired`;
    // A datapath that was just started had none.
    if (kept + replaced + removed + expired > 0) entries.push(['taken over', text]);
  }
  const loud = warnings.map((warning) => paint(io, 'yellow', `warning: ${warning}`));
  return facts(entries) + loud.map((line) => `${line}\n`).join('');
}
