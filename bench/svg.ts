// bench/svg.ts — what pictures of figures are made of: colours, scales, signs.
//
// SVG is written by hand: a picture names its colours once, and no library has to come along with a
// file that somebody mails.

/** Colours and letters; follows the reader's choice of light or dark. */
export const css = `
  .page { fill: #ffffff }
  text { font: 13px system-ui, sans-serif; fill: #24292f }
  .title { font-weight: 600; font-size: 15px }
  .small { font-size: 11px; fill: #57606a }
  .grid { stroke: #d0d7de; stroke-width: 1 }
  .frame { stroke: #8c959f; stroke-width: 1; fill: none }
  .line { fill: none; stroke-width: 2 }
  .bar { stroke-width: 1.5 }
  .a { stroke: #0a6cba; fill: #0a6cba } .b { stroke: #c4500a; fill: #c4500a }
  .c { stroke: #12805c; fill: #12805c } .d { stroke: #6e7781; fill: #6e7781 }
  @media (prefers-color-scheme: dark) {
    .page { fill: #0d1117 }
    text { fill: #e6edf3 } .small { fill: #9da7b3 }
    .grid { stroke: #30363d } .frame { stroke: #6e7681 }
    .a { stroke: #58a6ff; fill: #58a6ff } .b { stroke: #f0883e; fill: #f0883e }
    .c { stroke: #3fb98b; fill: #3fb98b } .d { stroke: #8b949e; fill: #8b949e }
  }`;

/** Where a value is, in pixels. */
export interface Scale {
  readonly at: (value: number) => number;
  readonly ticks: readonly number[];
}

/** A logarithmic scale over the ticks, from `first` to `last` in pixels. */
export function logScale(ticks: readonly number[], first: number, last: number): Scale {
  const low = Math.log(ticks[0]!);
  const span = Math.log(ticks.at(-1)!) - low || 1;
  return { ticks, at: (value) => first + ((Math.log(value) - low) / span) * (last - first) };
}

const powers = [-4, -3, -2, -1, 0, 1, 2, 3, 4, 5, 6, 7, 8];

/** 1, 2 and 5 times powers of ten that enclose the values. */
export function enclosing(values: readonly number[]): number[] {
  const series = powers.flatMap((power) => [1, 2, 5].map((x) => Number(`${x}e${power}`)));
  const below = series.filter((tick) => tick <= Math.min(...values)).at(-1) ?? series[0]!;
  const above = series.find((tick) => tick >= Math.max(...values)) ?? series.at(-1)!;
  // Equal values that are a tick themselves get room above.
  const top = above > below ? above : (series[series.indexOf(above) + 1] ?? above);
  return series.filter((tick) => tick >= below && tick <= top);
}

/** A number for an axis: 20k, 1.5M. */
export function short(value: number): string {
  if (value >= 1e6) return `${value / 1e6}M`;
  return value >= 1000 ? `${value / 1000}k` : String(value);
}

/** Text as SVG and HTML take it. */
export const escaped = (text: string): string =>
  text.replace(/[&<>]/g, (sign) => ({ '&': '&amp;', '<': '&lt;', '>': '&gt;' })[sign]!);

/** How the line of a system looks. */
export interface Style {
  readonly class: string;
  readonly dash: string;
  readonly mark: string;
}

/** The sign of a point. */
export function mark({ mark: shape, class: name }: Style, x: number, y: number): string {
  const at = `${x.toFixed(1)} ${y.toFixed(1)}`;
  if (shape === 'circle') {
    return `<circle class="${name}" cx="${x.toFixed(1)}" cy="${y.toFixed(1)}" r="3.5"/>`;
  }
  if (shape === 'square') return `<path class="${name}" d="M${at}m-3.5-3.5h7v7h-7z"/>`;
  return shape === 'diamond' ? `<path class="${name}" d="M${at}m0-5l5 5l-5 5l-5-5z"/>` : '';
}
