// cli/commands/diff.ts — `vtepctl diff`: what apply would change, without changing it.
//
// The daemon compares, with the same code that apply uses.

import { fileOption, readDocument } from '../document-file.ts';
import { print } from '../output.ts';
import type { Verb } from '../verb.ts';

export const verb: Verb = {
  name: 'diff',
  summary: 'show what applying a document would change',
  description:
    'Compares a document with the one in force and shows what "vtepctl apply" would change:\n' +
    '+ added, - removed, ~ changed. Nothing is changed.',
  options: [fileOption],
  examples: [
    ['vtepctl diff -f net.yaml', 'compare a file'],
    ['vtepctl diff -f net.yaml -o json', 'changes as a JSON array'],
  ],
  async run(context) {
    const { text, name } = await readDocument(String(context.options.file), context.io);
    const answer = await context.client.diff(text, name);
    await print(context, answer.changes, () => answer.text || 'no difference\n');
  },
};
