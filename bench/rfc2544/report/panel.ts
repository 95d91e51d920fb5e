// bench/rfc2544/report/panel.ts — one picture: a frame with ticks and labels around what is drawn.
//
// All pictures of a report have the same size and the same places for their words, so that the page
// can put them side by side and none of them overlap.

import { escaped, type Scale, type Style } from '../../svg.ts';
import type { Rfc2544Document } from '../document.ts';

export const size = { width: 440, height: 300 };
export const area = { left: 62, top: 34, right: size.width - 22, bottom: size.height - 52 };

/** Ticks further apart than this many pixels do not run into each other. */
const tickPixels = { x: 34, y: 15 };

export interface Tick {
  readonly at: number;
  readonly text: string;
}

export interface Panel {
  readonly title: string;
  readonly x: readonly Tick[];
  readonly y: readonly Tick[];
  readonly xLabel: string;
  readonly yLabel: string;
  readonly body: string;
}

/** A whole SVG element. */
export function panelSvg({ title, x, y, xLabel, yLabel, body }: Panel): string {
  const { left, top, right, bottom } = area;
  const middle = (top + bottom) / 2;
  const yTicks = apart(y, tickPixels.y).map(
    ({ at, text }) => `<path class="grid" d="M${left} ${at.toFixed(1)}H${right}"/>
<text x="${left - 7}" y="${(at + 4).toFixed(1)}" text-anchor="end">${escaped(text)}</text>`,
  );
  const xTicks = apart(x, tickPixels.x).map(
    ({ at, text }) =>
      `<text x="${at.toFixed(1)}" y="${bottom + 18}" text-anchor="middle">${escaped(text)}</text>`,
  );
  return `<svg viewBox="0 0 ${size.width} ${size.height}" role="img" aria-label="${escaped(title)}">
<text class="title" x="${left}" y="${top - 12}">${escaped(title)}</text>
${[...yTicks, ...xTicks].join('\n')}
<rect class="frame" x="${left}" y="${top}" width="${right - left}" height="${bottom - top}"/>
${body}
<text class="small" x="${right}" y="${bottom + 38}" text-anchor="end">${escaped(xLabel)}</text>
<text class="small" transform="translate(${left - 48} ${middle}) rotate(-90)"
 text-anchor="middle">${escaped(yLabel)}</text>
</svg>`;
}

/** Leaves out ticks that would stand in the words of the one before. */
function apart(ticks: readonly Tick[], pixels: number): Tick[] {
  const kept: Tick[] = [];
  for (const tick of ticks) {
    const last = kept.at(-1);
    if (last === undefined || Math.abs(tick.at - last.at) >= pixels) kept.push(tick);
  }
  return kept;
}

/** Places of categories, evenly. */
export function categories(names: readonly string[]): Tick[] {
  const each = (area.right - area.left) / names.length;
  return names.map((text, at) => ({ text, at: area.left + each * (at + 0.5) }));
}

/** A linear scale from 0, or from a round number below the least, with round ticks. */
export function linearScale(least: number, most: number, first: number, last: number): Scale {
  const span = most - least || 1;
  const power = 10 ** Math.floor(Math.log10(span / 4));
  const step = [1, 2, 5, 10].map((times) => times * power).find((one) => span / one <= 5)!;
  const from = Math.floor(least / step);
  const to = Math.max(from + 1, Math.ceil(most / step - 1e-9));
  const ticks = Array.from({ length: to - from + 1 }, (_, at) =>
    Number(((from + at) * step).toPrecision(12)),
  );
  const [low, high] = [ticks[0]!, ticks.at(-1)!];
  return { ticks, at: (value) => first + ((value - low) / (high - low)) * (last - first) };
}

const looks: readonly Style[] = [
  { class: 'a', dash: '', mark: 'circle' },
  { class: 'b', dash: '', mark: 'square' },
  { class: 'c', dash: '', mark: 'diamond' },
  { class: 'e', dash: '', mark: 'circle' },
  { class: 'f', dash: '', mark: 'square' },
];
const generatorLook: Style = { class: 'd', dash: '5 4', mark: 'none' };

/** How each system of a run is drawn, and the generator alone. */
export function looksOf({ cells, limits }: Rfc2544Document): Map<string, Style> {
  const names = [...new Set(cells.map(({ system }) => system))];
  const all = new Map(names.map((name, at) => [name, looks[at % looks.length]!]));
  for (const { system } of limits) all.set(system, generatorLook);
  return all;
}
