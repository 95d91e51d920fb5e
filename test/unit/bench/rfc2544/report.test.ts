// rfc2544/report.test.ts — the three forms of a report, of a document made by hand.

import { describe, expect, test } from 'vitest';
import { Report } from '../../../../bench/report.ts';
import { type Cell, emptyDocument } from '../../../../bench/rfc2544/document.ts';
import { frameMix } from '../../../../bench/rfc2544/frames.ts';
import type { GoalResult } from '../../../../bench/rfc2544/methods/throughput.ts';
import type { ScenarioName } from '../../../../bench/rfc2544/path.ts';
import { markdown } from '../../../../bench/rfc2544/report/markdown.ts';
import { page } from '../../../../bench/rfc2544/report/page.ts';
import { linearScale } from '../../../../bench/rfc2544/report/panel.ts';
import { addRows } from '../../../../bench/rfc2544/report/rows.ts';
import { settingsOf } from '../../../../bench/rfc2544/settings.ts';

const common = { quick: false, rounds: 2, seconds: undefined, flows: undefined };

function goal(rates: readonly number[], atLeast?: string): GoalResult {
  const rounds = rates.map((load) => ({
    ...{ kind: 'found' as const, load, upper: load + 1, forwarded: load, noise: 0 },
  }));
  const rate = rates.reduce((sum, one) => sum + one, 0) / rates.length;
  return { loss: 0.01, rounds, figure: { rate, forwarded: rate, atLeast }, why: undefined };
}

const cell = (scenario: ScenarioName, system: string, frames: string, one: GoalResult): Cell => ({
  ...{ system, scenario, frames: frameMix(frames), direction: 'both' },
  throughput: { goals: [one], trials: [] },
});

/** Of table VI: two scenarios, 64 and 1518. */
function sample() {
  const wanted = { frames: '64,1518', loss: '1', methods: 'throughput,latency' };
  const document = emptyDocument(settingsOf(wanted, common));
  const [here, across] = ['same-host-same-subnet', 'across-hosts-same-subnet'] as const;
  const why = 'Loses more than 1 % even at 1,000 frames/s.';
  document.cells.push(
    cell(here, 'vtepd', '64', goal([500_000, 502_000])),
    cell(here, 'vtepd', '1518', goal([300_000, 300_000], 'The generator is slow.')),
    cell(here, 'kernel', '64', goal([250_000, 251_000])),
    cell(across, 'vtepd', '64', { loss: 0.01, rounds: [], figure: undefined, why }),
  );
  document.cells[0]!.latency = [
    {
      ...{ load: 0.5, rate: 250_500, averages: [21], loss: 0, reordered: 0, duplicated: undefined },
      latency: { count: 9, min: 3, average: 21, max: 99, jitter: 2, buckets: [[99, 9]] },
      percentiles: [20, 30, 40, 50],
      fault: undefined,
    },
  ];
  document.problems.push('ovs, <all>: nothing & nobody');
  return document;
}

const table = (text: string, title: string) =>
  text
    .split(`## ${title}\n\n`)[1]!
    .split('\n\n')[0]!
    .split('\n')
    .map((line) => line.replace(/ +/g, ' '));

describe('Markdown', () => {
  test('has the table of the paper, with lower limits and reasons', () => {
    const text = markdown(new Report('rfc2544').document(), sample());
    expect(table(text, 'Throughput, Gbit/s, both directions together, at most 1 % lost')).toEqual([
      '| scenario | system | 64 | 1518 |',
      '| ------------------------ | ------ | ----- | ---------- |',
      '| same-host-same-subnet | vtepd | 0.513 | ≥ 7.29 [1] |',
      '| same-host-same-subnet | kernel | 0.257 | – |',
      '| across-hosts-same-subnet | vtepd | – [2] | – |',
    ]);
    expect(text).toContain('1. The generator is slow.\n2. Loses more than 1 % even at');
    expect(text).toContain('- ovs, <all>: nothing & nobody');
    expect(table(text, 'Latency by load, microseconds')[2]).toContain('| 3 | 21 | 20 | 30 | 40 |');
  });

  test('says that it is partial', () => {
    const document = { ...sample(), partial: 'It was interrupted.' };
    const text = markdown(new Report('rfc2544').document(), document);
    expect(text).toContain('**Partial.** It was interrupted.');
  });
});

describe('the page', () => {
  const html = page(new Report('rfc2544').document(), { ...sample(), partial: 'Half <done>.' });

  test('needs nothing from anywhere, and runs nothing', () => {
    expect(html).not.toMatch(/<script|<link|<img|@import|url\(|https?:/);
  });

  test('is well-formed where it has pictures, and escapes what it is told', () => {
    expect(html).toContain('<b>Partial.</b> Half &lt;done&gt;.');
    expect(html).toContain('ovs, &lt;all&gt;: nothing &amp; nobody');
    const pictures = html.match(/<svg[\s\S]*?<\/svg>/g)!;
    expect(pictures.length).toBeGreaterThan(2);
    for (const picture of pictures) expect(picture).not.toMatch(/NaN|undefined|Infinity/);
  });

  test('draws the rounds as boxes and leaves out what nobody measured', () => {
    expect(html).toContain('<h2>Rounds</h2>');
    expect(html).not.toContain('Frame loss by offered load');
  });
});

describe('rows', () => {
  test('hold all rounds, keep lower limits apart, and compare with peers', () => {
    const report = new Report('rfc2544');
    addRows(report, sample());
    const { rows, ratios } = report.document();
    const of = (metric: string) => rows.filter((row) => row.metric === metric);
    expect(of('frames/s').map(({ system, min, max }) => [system, min, max])).toEqual([
      ['vtepd', 1_000_000, 1_004_000],
      ['kernel', 500_000, 502_000],
    ]);
    expect(of('at least frames/s').map(({ median }) => median)).toEqual([600_000]);
    expect(ratios.map(({ peer, ratio }) => [peer, ratio])).toEqual([['kernel (vtepd)', 2]]);
  });
});

test('linear scales have round ticks around the values', () => {
  expect(linearScale(0, 61, 0, 100).ticks).toEqual([0, 20, 40, 60, 80]);
  expect(linearScale(-0.3, 0.9, 0, 100).ticks).toEqual([-0.5, 0, 0.5, 1]);
  expect(linearScale(0, 60, 0, 90).at(30)).toBe(45);
});
