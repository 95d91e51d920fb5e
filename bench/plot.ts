// bench/plot.ts — cycles per packet against flows: a picture of what `peers` found.
//
// One panel for each case, one line for each system, with a bar from the least to the most round.
// Both axes are logarithmic, so that equal distances are equal ratios. The SVG is written by hand:
// it names its colours once, and follows the reader's choice of light or dark.

import type { Document, Row } from './report.ts';
import { css, enclosing, escaped, logScale, mark, type Scale, short } from './svg.ts';

const metric = 'cycles per packet';
const width = 880;
const panel = { width: 360, height: 230 };
const margin = { left: 62, top: 74, right: 18, bottom: 62, between: 66 };

/** Systems in the order of the legend: how their lines look. Others take what is left. */
const styles = [
  { system: 'vtepd', class: 'a', dash: '', mark: 'circle' },
  { system: 'ovs-dpdk', class: 'b', dash: '', mark: 'square' },
  { system: 'vpp', class: 'c', dash: '', mark: 'diamond' },
  { system: 'floor', class: 'd', dash: '5 4', mark: 'none' },
] as const;

type Style = (typeof styles)[number];

function line(rows: readonly Row[], style: Style, x: Scale, y: Scale): string {
  const sorted = [...rows].sort((a, b) => a.flows - b.flows);
  const points = sorted.map((row) => ({ row, x: x.at(row.flows), y: y.at(row.median) }));
  const path = points.map((point) => `${point.x.toFixed(1)},${point.y.toFixed(1)}`).join(' ');
  const dash = style.dash === '' ? '' : ` stroke-dasharray="${style.dash}"`;
  const bars = points.map(({ row, x: at }) => {
    const [least, most] = [y.at(row.min).toFixed(1), y.at(row.max).toFixed(1)];
    return `<path class="bar ${style.class}" d="M${at.toFixed(1)} ${least}V${most}"/>`;
  });
  const marks = points.map((point) => mark(style, point.x, point.y));
  return [
    `<polyline class="line ${style.class}" style="fill:none"${dash} points="${path}"/>`,
    ...bars,
    ...marks,
  ].join('\n');
}

interface Place {
  readonly left: number;
  readonly top: number;
}

function drawPanel(title: string, rows: readonly Row[], all: readonly Row[], at: Place): string {
  const { left, top } = at;
  const right = left + panel.width;
  const bottom = top + panel.height;
  const flows = [...new Set(all.map((row) => row.flows))].sort((a, b) => a - b);
  const x = logScale(flows, left + 14, right - 14);
  const y = logScale(enclosing(all.flatMap(({ min, max }) => [min, max])), bottom, top);
  const xTicks = x.ticks.map((tick) => {
    const where = x.at(tick).toFixed(1);
    return `<text x="${where}" y="${bottom + 18}" text-anchor="middle">${short(tick)}</text>`;
  });
  const yTicks = y.ticks.map((tick) => {
    const where = y.at(tick);
    return `<path class="grid" d="M${left} ${where.toFixed(1)}H${right}"/>
<text x="${left - 7}" y="${(where + 4).toFixed(1)}" text-anchor="end">${short(tick)}</text>`;
  });
  const lines = stylesOf(all).map((style) => {
    const own = rows.filter(({ system }) => system === style.system);
    return own.length === 0 ? '' : line(own, style, x, y);
  });
  const middle = top + panel.height / 2;
  return `<text class="title" x="${left}" y="${top - 10}">${escaped(title)}</text>
${[...yTicks, ...xTicks].join('\n')}
<rect class="frame" x="${left}" y="${top}" width="${panel.width}" height="${panel.height}"/>
${lines.filter((one) => one !== '').join('\n')}
<text class="small" x="${right}" y="${bottom + 36}" text-anchor="end">flows (5-tuples)</text>
<text class="small" transform="translate(${left - 46} ${middle}) rotate(-90)"
 text-anchor="middle">TSC cycles per packet</text>`;
}

function stylesOf(rows: readonly Row[]): Style[] {
  return styles.filter(({ system }) => rows.some((row) => row.system === system));
}

function legend(rows: readonly Row[]): string {
  return stylesOf(rows)
    .map((style, index) => {
      const left = margin.left + index * 130;
      const dash = style.dash === '' ? '' : ` stroke-dasharray="${style.dash}"`;
      return `<path class="line ${style.class}"${dash} d="M${left} 24h28"/>
${mark(style, left + 14, 24)}
<text x="${left + 36}" y="28">${style.system}</text>`;
    })
    .join('\n');
}

/** The picture; throws when the document has no cycles per packet at several numbers of flows. */
export function plot({ machine, commit, rows }: Document): string {
  // Cases with a comma vary something else: bursts, workers.
  const own = rows.filter((row) => row.metric === metric && !row.case.includes(','));
  const cases = [...new Set(own.map((row) => row.case))];
  if (new Set(own.map(({ flows }) => flows)).size < 2) {
    throw new Error(`the document has no ${metric} at several numbers of flows: use peers`);
  }
  const panels = cases.map((name, index) => {
    const left = margin.left + (index % 2) * (panel.width + margin.between);
    const top = margin.top + Math.floor(index / 2) * (panel.height + margin.bottom + 14);
    return drawPanel(
      name,
      own.filter((row) => row.case === name),
      own,
      { left, top },
    );
  });
  const lines = Math.ceil(cases.length / 2);
  const height = margin.top + lines * (panel.height + margin.bottom + 14) + 10;
  const versions = Object.entries(machine.versions).map(([name, version]) => `${name} ${version}`);
  const source = [`${machine.cpu}`, ...versions, `commit ${commit}`].join('; ');
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}"
 width="${width}" height="${height}" role="img" aria-label="${metric} by flows">
<style>${css}
</style>
<rect class="page" width="${width}" height="${height}"/>
${legend(own)}
${panels.join('\n')}
<text class="small" x="${margin.left}" y="${height - 12}">${escaped(source)}; less is better</text>
</svg>
`;
}
