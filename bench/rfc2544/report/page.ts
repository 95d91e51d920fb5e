// bench/rfc2544/report/page.ts — the report as one web page that needs nothing else: facts,
// pictures, tables.
//
// It is written to be mailed and kept: no script, no fonts, no addresses. Light or dark is the
// reader's choice.

import type { Document } from '../../report.ts';
import { escaped, mark, css as pictureCss, type Style } from '../../svg.ts';
import type { Rfc2544Document } from '../document.ts';
import { percent } from '../search/outcome.ts';
import { facts, readingNotes } from './facts.ts';
import { looksOf } from './panel.ts';
import { latencyPlots, lossPlots, roundPlots, shownLoad, throughputPlots } from './plots.ts';
import { type Table, tablesOf } from './table.ts';

const css = `${pictureCss}
  :root { color-scheme: light dark; --text: #24292f; --soft: #57606a; --line: #d0d7de }
  @media (prefers-color-scheme: dark) {
    :root { --text: #e6edf3; --soft: #9da7b3; --line: #30363d }
    body { background: #0d1117 }
    .e { stroke: #bc8cff; fill: #bc8cff } .f { stroke: #d29922; fill: #d29922 }
  }
  @media (prefers-color-scheme: light) {
    body { background: #ffffff }
    .e { stroke: #8250df; fill: #8250df } .f { stroke: #9a6700; fill: #9a6700 }
  }
  body { font: 14px/1.45 system-ui, sans-serif; color: var(--text);
    max-width: 1180px; margin: 24px auto; padding: 0 20px }
  h1 { font-size: 22px } h2 { font-size: 17px; margin: 32px 0 8px } h3 { font-size: 14px }
  dl { display: grid; grid-template-columns: max-content 1fr; gap: 2px 16px }
  dt { color: var(--soft) } dd { margin: 0 }
  .soft { color: var(--soft) }
  .partial { border-left: 4px solid #c4500a; padding: 6px 12px }
  .pictures { display: grid; gap: 16px;
    grid-template-columns: repeat(auto-fill, minmax(min(100%, 440px), 1fr)) }
  .pictures svg { width: 100%; height: auto; max-width: 560px }
  .legend { display: flex; flex-wrap: wrap; gap: 6px 22px; margin: 8px 0 }
  .legend svg { width: 34px; height: 14px; vertical-align: -2px; margin-right: 6px }
  .wide { overflow-x: auto }
  table { border-collapse: collapse; font-variant-numeric: tabular-nums }
  th, td { border-bottom: 1px solid var(--line); padding: 3px 10px; text-align: right;
    white-space: nowrap }
  th { font-weight: 600 } th:first-child, td:first-child, th:nth-child(2), td:nth-child(2)
    { text-align: left }`;

/** Throws nothing: chapters without figures are left out. */
export function page(document: Document, run: Rfc2544Document): string {
  const { tables, notes } = tablesOf(run);
  const looks = looksOf(run);
  const load = percent(shownLoad(run));
  const chapters = [
    chapter('Throughput by frame length', throughputPlots(run), {
      legend: legend(looks, 'line rate'),
      about: 'Bars go from the least to the greatest round; an arrow means at least.',
    }),
    chapter('Frame loss by offered load', lossPlots(run), { legend: legend(looks) }),
    chapter(`Latency at ${load} of each system's throughput`, latencyPlots(run), {
      legend: legend(looks, 'the generator alone'),
    }),
    chapter('Rounds', roundPlots(run), {
      legend: legend(looks),
      about: 'Distance from the median of the rounds: least, quartiles, greatest.',
    }),
  ];
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>RFC 2544 benchmark</title>
<style>${css}
</style>
</head>
<body>
<h1>RFC 2544 benchmark</h1>
${run.partial === undefined ? '' : `<p class="partial"><b>Partial.</b> ${escaped(run.partial)}</p>`}
<dl>
${facts(document, run)
  .map(([name, text]) => `<dt>${escaped(name)}</dt><dd>${escaped(text)}</dd>`)
  .join('\n')}
</dl>
<p class="soft">${readingNotes.map(escaped).join('<br>')}</p>
${sentences('Not measured', 'ul', run.problems)}
${chapters.join('\n')}
${tables.map(tableHtml).join('\n')}
${sentences('Notes', 'ol', notes.all)}
</body>
</html>
`;
}

function chapter(
  title: string,
  pictures: readonly string[],
  { legend: signs, about = '' }: { legend: string; about?: string },
): string {
  if (pictures.length === 0) return '';
  return `<h2>${escaped(title)}</h2>
${about === '' ? '' : `<p class="soft">${escaped(about)}</p>`}
${signs}
<div class="pictures">
${pictures.join('\n')}
</div>`;
}

/** Which sign is whose; `dashed` says what the dashed line is, if there is one. */
function legend(looks: ReadonlyMap<string, Style>, dashed?: string): string {
  const sign = (style: Style) => {
    const dash = style.dash === '' ? '' : ` stroke-dasharray="${style.dash}"`;
    const line = `<path class="line ${style.class}"${dash} d="M2 7h30"/>`;
    return `<svg viewBox="0 0 34 14" aria-hidden="true">${line}${mark(style, 17, 7)}</svg>`;
  };
  const entries = [...looks].flatMap(([name, style]) => {
    if (style.dash === '') return [`<span>${sign(style)}${escaped(name)}</span>`];
    return dashed === undefined ? [] : [`<span>${sign(style)}${escaped(dashed)}</span>`];
  });
  return `<div class="legend">${entries.join('')}</div>`;
}

function tableHtml({ title, head, lines }: Table): string {
  const row = (cells: readonly string[], tag: string) =>
    `<tr>${cells.map((text) => `<${tag}>${escaped(text)}</${tag}>`).join('')}</tr>`;
  return `<h2>${escaped(title)}</h2>
<div class="wide"><table>
${row(head, 'th')}
${lines.map((cells) => row(cells, 'td')).join('\n')}
</table></div>`;
}

function sentences(title: string, list: 'ul' | 'ol', all: readonly string[]): string {
  if (all.length === 0) return '';
  const items = all.map((text) => `<li>${escaped(text)}</li>`).join('\n');
  return `<h2>${title}</h2>\n<${list}>\n${items}\n</${list}>`;
}
