// bench/rfc2544/report/rows.ts — the figures of a run as rows of the document that all benches
// share.
//
// A row holds every round, so its median need not be the average in the tables. Lower limits have a
// metric of their own: nobody shall compare them with figures.

import type { Report, Row } from '../../report.ts';
import type { Cell, Rfc2544Document } from '../document.ts';
import { percent } from '../search/outcome.ts';
import { totalGigabits, totalRate } from './table.ts';

const isOurs = (system: string): boolean => system.startsWith('vtepd');

/** Adds what was found, and how we compare. */
export function addRows(report: Report, { cells, extras, settings }: Rfc2544Document): void {
  const rows: Row[] = [];
  for (const cell of cells) {
    for (const { loss, rounds, figure } of cell.throughput?.goals ?? []) {
      if (figure === undefined) continue;
      const rates = rounds.flatMap((one) => ('load' in one ? [one.load] : []));
      const kind = figure.atLeast === undefined ? '' : 'at least ';
      const subject = {
        case: `${caseOf(cell)}, ${loss === 0 ? 'no loss' : `${percent(loss)} loss`}`,
        ...{ flows: settings.flows, system: cell.system },
      };
      const perSecond = rates.map((rate) => totalRate(cell, rate));
      const gbits = rates.map((rate) => totalGigabits(cell, rate));
      const row = report.add({ ...subject, metric: `${kind}frames/s` }, perSecond);
      report.add({ ...subject, metric: `${kind}Gbit/s` }, gbits);
      if (kind === '') rows.push(row);
    }
    for (const { load, latency } of cell.latency ?? []) {
      if (latency === undefined) continue;
      const at = `${caseOf(cell)}, ${percent(load)} of throughput`;
      const subject = { case: at, flows: settings.flows, system: cell.system };
      report.add({ ...subject, metric: 'latency average us' }, [latency.average]);
    }
  }
  for (const row of rows.filter(({ system }) => isOurs(system))) {
    const peers = rows.filter((one) => one.case === row.case && !isOurs(one.system));
    for (const peer of peers) report.compare(row, peer, `${peer.system} (${row.system})`);
  }
  for (const { extra, system, case: what, metric, value } of extras) {
    if (value === undefined) continue;
    report.add({ case: `${extra}, ${what}`, flows: settings.flows, system, metric }, [value]);
  }
}

const caseOf = ({ scenario, frames, direction }: Cell): string =>
  `${scenario}, ${frames.name}, ${direction}`;
