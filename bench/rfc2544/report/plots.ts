// bench/rfc2544/report/plots.ts — the pictures of a report: throughput, loss, latency, rounds.
//
// Rates and times have logarithmic axes, so that equal distances are equal ratios; shares have
// linear ones. Each function returns the pictures of one chapter, none if there is nothing to draw.

import { enclosing, logScale, mark, type Scale, type Style, short } from '../../svg.ts';
import type { Cell, Rfc2544Document } from '../document.ts';
import { gigabits, lineRate } from '../frames.ts';
import { directionsOf } from '../methods/asked.ts';
import { percentiles } from '../methods/latency.ts';
import { percent } from '../search/outcome.ts';
import { area, categories, linearScale, looksOf, panelSvg, type Tick } from './panel.ts';
import { totalGigabits, totalRate } from './table.ts';

/** Systems side by side in one category are so many pixels apart at most. */
const besidesMax = 11;
const boxWidth = 8;

const unique = <Item>(list: readonly Item[]): Item[] => [...new Set(list)];

/** Each scenario with each direction: a picture each. */
function groups({ cells, settings }: Rfc2544Document): { name: string; own: Cell[] }[] {
  const isOne = settings.directions.length === 1;
  return unique(cells.map(({ scenario }) => scenario)).flatMap((scenario) =>
    settings.directions.map((direction) => ({
      name: isOne ? `${scenario}` : `${scenario}, ${direction}`,
      own: cells.filter((cell) => cell.scenario === scenario && cell.direction === direction),
    })),
  );
}

interface Crowd {
  readonly systems: readonly string[];
  readonly categories: number;
}

/** Where a system stands beside the middle of a category, in pixels. */
function beside(system: string, { systems, categories: count }: Crowd): number {
  const each = (area.right - area.left) / count;
  const apart = Math.min(besidesMax, each / (systems.length + 1));
  return (systems.indexOf(system) - (systems.length - 1) / 2) * apart;
}

const logTicks = (scale: Scale): Tick[] => {
  const few = scale.ticks.filter((tick) => scale.ticks.length < 13 || String(tick)[0] === '1');
  return few.map((tick) => ({ at: scale.at(tick), text: short(tick) }));
};

function polyline(points: readonly (readonly [number, number])[], style: Style): string {
  const path = points.map(([x, y]) => `${x.toFixed(1)},${y.toFixed(1)}`).join(' ');
  const dash = style.dash === '' ? '' : ` stroke-dasharray="${style.dash}"`;
  return [
    `<polyline class="line ${style.class}" style="fill:none"${dash} points="${path}"/>`,
    ...points.map(([x, y]) => mark(style, x, y)),
  ].join('\n');
}

/** Throughput by frame size, for each allowed loss; the line rate is dashed. */
export function throughputPlots(document: Rfc2544Document): string[] {
  const { settings } = document;
  return settings.losses.flatMap((loss) =>
    groups(document).flatMap(({ name, own }) => {
      const isKnown = own.some(({ throughput }) =>
        throughput?.goals.some((goal) => goal.loss === loss && goal.figure !== undefined),
      );
      const title = `${name}: ${loss === 0 ? 'no loss' : `${percent(loss)} loss`}`;
      return isKnown ? [throughputPlot(document, own, loss, title)] : [];
    }),
  );
}

function throughputPlot(
  document: Rfc2544Document,
  own: readonly Cell[],
  loss: number,
  title: string,
): string {
  const looks = looksOf(document);
  const systems = unique(own.map(({ system }) => system));
  const mixes = document.settings.frames;
  const times = directionsOf(own[0]!.direction);
  const lines = mixes.map(
    (mix) => gigabits(mix, lineRate(mix, document.settings.lineGbits)) * times,
  );
  const places = categories(mixes.map(({ name }) => name));
  const points = own.flatMap((cell) => {
    const goal = cell.throughput?.goals.find((one) => one.loss === loss);
    if (goal?.figure === undefined) return [];
    const rounds = goal.rounds.flatMap((one) => ('load' in one ? [one.load] : []));
    const x =
      places[mixes.findIndex(({ name }) => name === cell.frames.name)]!.at +
      beside(cell.system, { systems, categories: mixes.length });
    const values = [goal.figure.rate, Math.min(...rounds), Math.max(...rounds)];
    return [
      { cell, x, values: values.map((rate) => totalGigabits(cell, rate)), figure: goal.figure },
    ];
  });
  const all = [...lines, ...points.flatMap(({ values }) => values)];
  const y = logScale(enclosing(all), area.bottom, area.top);
  const half = (area.right - area.left) / mixes.length / 2 - 4;
  const body = [
    ...lines.map((value, at) => {
      const { at: x } = places[at]!;
      const d = `M${(x - half).toFixed(1)} ${y.at(value).toFixed(1)}h${(2 * half).toFixed(1)}`;
      return `<path class="line d" stroke-dasharray="5 4" d="${d}"/>`;
    }),
    ...points.map(({ cell, x, values, figure }) => {
      const style = looks.get(cell.system)!;
      const [middle, least, most] = values.map((value) => y.at(value));
      const bar = `<path class="bar ${style.class}" d="M${x.toFixed(1)} ${least}V${most}"/>`;
      const isLimit = figure.atLeast !== undefined;
      return [bar, mark(style, x, middle!), isLimit ? upArrow(style, x, middle!) : ''].join('');
    }),
  ].join('\n');
  const xLabel = 'frame length, bytes';
  return panelSvg({ title, x: places, y: logTicks(y), xLabel, yLabel: 'Gbit/s', body });
}

/** "At least": the device may be above the mark. */
function upArrow(style: Style, x: number, y: number): string {
  const d = `M${x.toFixed(1)} ${(y - 4).toFixed(1)}v-11m-3 4l3 -4l3 4`;
  return `<path class="bar ${style.class}" style="fill:none" d="${d}"/>`;
}

/** Lost by what is offered. */
export function lossPlots(document: Rfc2544Document): string[] {
  const looks = looksOf(document);
  return groups(document).flatMap(({ name, own }) =>
    document.settings.frames.flatMap((mix) => {
      const cells = own.filter((cell) => cell.frames.name === mix.name && cell.loss !== undefined);
      const curves = cells.map((cell) => ({
        style: looks.get(cell.system)!,
        points: cell
          .loss!.points.filter(({ loss }) => loss !== undefined)
          .map(({ rate, loss }) => [totalRate(cell, rate), 100 * loss!] as const),
      }));
      const all = curves.flatMap(({ points }) => points);
      if (all.length === 0) return [];
      const most = Math.max(...all.map(([rate]) => rate));
      const x = linearScale(0, most, area.left, area.right);
      const worst = Math.max(1, ...all.map(([, lost]) => lost));
      const y = linearScale(0, worst, area.bottom, area.top);
      const body = curves.map(({ style, points }) => {
        return polyline(
          points.map(([rate, lost]) => [x.at(rate), y.at(lost)] as const),
          style,
        );
      });
      return [
        panelSvg({
          title: `${name}: ${mix.name}`,
          x: x.ticks.map((tick) => ({ at: x.at(tick), text: short(tick) })),
          y: y.ticks.map((tick) => ({ at: y.at(tick), text: short(tick) })),
          ...{ xLabel: 'offered, frames/s', yLabel: 'lost, %', body: body.join('\n') },
        }),
      ];
    }),
  );
}

/** The load in the middle of those that were measured: the one that the pictures show. */
export function shownLoad({ settings }: Rfc2544Document): number {
  const loads = [...settings.latencyLoads].sort((a, b) => a - b);
  return loads[Math.floor((loads.length - 1) / 2)] ?? 1;
}

/** Times by percentile at one load; the generator alone is dashed. */
export function latencyPlots(document: Rfc2544Document): string[] {
  const looks = looksOf(document);
  const load = shownLoad(document);
  const names = ['min', ...percentiles.map((share) => `${share * 100}%`), 'max'];
  const places = categories(names);
  return groups(document).flatMap(({ name, own }) =>
    document.settings.frames.flatMap((mix) => {
      const isOf = (cell: Cell) =>
        cell.frames.name === mix.name && cell.direction === own[0]?.direction;
      const curves = [...document.limits, ...own].filter(isOf).flatMap((cell) => {
        const found = cell.latency?.find((one) => one.load === load);
        if (found?.latency === undefined) return [];
        const { min, max } = found.latency;
        // Clocks can be too coarse for the least time, and zero has no logarithm.
        const values = [min, ...found.percentiles, max].map((value) => Math.max(0.1, value));
        return [{ cell, values }];
      });
      if (!curves.some(({ cell }) => cell.scenario !== undefined)) return [];
      const y = logScale(enclosing(curves.flatMap(({ values }) => values)), area.bottom, area.top);
      const body = curves.map(({ cell, values }) =>
        polyline(
          values.map((value, at) => [places[at]!.at, y.at(value)] as const),
          looks.get(cell.system)!,
        ),
      );
      return [
        panelSvg({
          title: `${name}: ${mix.name}`,
          ...{ x: places, y: logTicks(y), xLabel: 'share of frames', yLabel: 'microseconds' },
          body: body.join('\n'),
        }),
      ];
    }),
  );
}

/** How far the rounds are from their median, in percent: boxes of the middle half. */
export function roundPlots(document: Rfc2544Document): string[] {
  const looks = looksOf(document);
  const mixes = document.settings.frames;
  const places = categories(mixes.map(({ name }) => name));
  return document.settings.losses.flatMap((loss) =>
    groups(document).flatMap(({ name, own }) => {
      const systems = unique(own.map(({ system }) => system));
      const boxes = own.flatMap((cell) => {
        const goal = cell.throughput?.goals.find((one) => one.loss === loss);
        const rates = (goal?.rounds ?? []).flatMap((one) => ('load' in one ? [one.load] : []));
        if (rates.length < 2) return [];
        const sorted = rates.sort((a, b) => a - b);
        const middle = at(sorted, 0.5);
        const five = [0, 0.25, 0.5, 0.75, 1].map((share) => 100 * (at(sorted, share) / middle - 1));
        const x =
          places[mixes.findIndex((mix) => mix.name === cell.frames.name)]!.at +
          beside(cell.system, { systems, categories: mixes.length });
        return [{ style: looks.get(cell.system)!, five, x }];
      });
      if (boxes.length === 0) return [];
      const all = boxes.flatMap(({ five }) => five);
      const y = linearScale(Math.min(-0.1, ...all), Math.max(0.1, ...all), area.bottom, area.top);
      return [
        panelSvg({
          title: `${name}: ${loss === 0 ? 'no loss' : `${percent(loss)} loss`}`,
          x: places,
          y: y.ticks.map((tick) => ({ at: y.at(tick), text: short(tick) })),
          ...{ xLabel: 'frame length, bytes', yLabel: 'from the median, %' },
          body: boxes.map((one) => boxSvg(one.style, one.x, one.five.map(y.at))).join('\n'),
        }),
      ];
    }),
  );
}

/** The value at a share of a sorted list, between neighbours by proportion. */
function at(sorted: readonly number[], share: number): number {
  const place = share * (sorted.length - 1);
  const below = Math.floor(place);
  const [low, high] = [sorted[below]!, sorted[Math.ceil(place)]!];
  return low + (high - low) * (place - below);
}

function boxSvg(style: Style, x: number, five: readonly number[]): string {
  const [least, lower, middle, upper, most] = five.map((value) => value.toFixed(1));
  const [left, right] = [x - boxWidth / 2, x + boxWidth / 2].map((value) => value.toFixed(1));
  const centre = x.toFixed(1);
  return (
    `<path class="bar ${style.class}" ` +
    `d="M${centre} ${least}V${lower}M${centre} ${upper}V${most}"/>` +
    `<path class="bar ${style.class}" style="fill-opacity:0.25" ` +
    `d="M${left} ${lower}H${right}V${upper}H${left}z"/>` +
    `<path class="bar ${style.class}" d="M${left} ${middle}H${right}"/>`
  );
}
