// model/wrong-cases.ts — reads the tables of refused texts in test/fixtures/documents.

export interface WrongCase {
  readonly name: string;
  readonly text: string;
  /** Whole lines as a person reads them: place, field, what was found, what was expected. */
  readonly problems: readonly string[];
}

/** Cases of a table: "=== name", the text, then ">>> " before each expected line. */
export function readCases(table: string): WrongCase[] {
  const [, ...blocks] = table.split(/^=== /m);
  return blocks.map((block) => {
    const [name = '', ...lines] = block.split('\n');
    const first = lines.findIndex((line) => line.startsWith('>>> '));
    if (first < 0) throw new Error(`the case "${name}" expects nothing`);
    const text = lines
      .slice(0, first)
      .map((line) => `${line}\n`)
      .join('');
    const problems = lines.slice(first).filter((line) => line !== '');
    return { name, text, problems: problems.map((line) => line.slice('>>> '.length)) };
  });
}
