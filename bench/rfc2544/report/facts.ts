// bench/rfc2544/report/facts.ts — where and how a report was made: machine, versions, settings.
//
// A rate without these is of no use to anybody, so they stand above the figures in every form.

import type { Document } from '../../report.ts';
import type { Rfc2544Document } from '../document.ts';
import { percent } from '../search/outcome.ts';
import { columnOf } from './table.ts';

/** Name and text, in the order to print. */
export function facts(
  { machine, commit }: Document,
  { settings, generator, began, ended }: Rfc2544Document,
): [string, string][] {
  const { cpu, cores, memoryGib, kernel, node, load, versions } = machine;
  const systems = Object.entries(versions).map(([name, version]) => `${name} ${version}`);
  const { seconds, firstSeconds, votes, rounds, resolution } = settings;
  const kept = rounds >= 3 ? ', highest and lowest left out, the rest averaged' : '';
  const voted = votes === 1 ? '' : `, ${votes} of them decide`;
  return [
    ['machine', `${cpu}, ${cores} cores, ${memoryGib} GiB, load ${load.toFixed(1)}`],
    ['kernel, Node', `${kernel}, ${node}`],
    ['commit', commit],
    ['systems', systems.join('; ') || 'none'],
    ['generator', generator === undefined ? 'none' : `${generator.name} ${generator.version}`],
    ['when', `${began} to ${ended ?? 'now'}`],
    ['preset', settings.preset],
    ['frames', `${settings.frames.map(columnOf).join(', ')} bytes with FCS`],
    ['directions', settings.directions.join(', ')],
    ['flows', `${settings.flows} in each direction`],
    ['allowed loss', settings.losses.map(percent).join(', ')],
    ['search', `trials of ${firstSeconds} to ${seconds} s${voted}; to ${percent(resolution)}`],
    ['rounds', `${rounds}${kept}`],
    ['warm-up, pause', `${settings.warmUpSeconds} s, ${settings.pauseSeconds} s`],
    ['line', `${settings.lineGbits} Gbit/s`],
  ];
}

/** What a reader has to know of the figures. */
export const readingNotes: readonly string[] = [
  'Rates are of frames with their FCS, without preamble and gap, as offered.',
  '≥: a lower limit; the generator or the range ended the search, not the device.',
  '–: no figure, with the reason.',
];
