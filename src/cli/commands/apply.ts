// cli/commands/apply.ts — `vtepctl apply`: puts a document in force and says what that changed.
//
// What is accepted but not in force is said here, not hidden in a log.

import type { ApplyAnswer } from '../../control/client.ts';
import { kindWords } from '../../control/kinds.ts';
import { fileOption, readDocument } from '../document-file.ts';
import { plural } from '../human.ts';
import { paint } from '../io.ts';
import { print } from '../output.ts';
import type { Context, Verb } from '../verb.ts';

export const verb: Verb = {
  name: 'apply',
  summary: 'put a document in force',
  description:
    'Puts a document in force, wholly or, when anything is wrong with it, not at all. Only what\n' +
    'differs from the document in force is touched.',
  options: [fileOption],
  examples: [
    ['vtepctl apply -f net.yaml', 'apply a file'],
    ['make-net | vtepctl apply -f -', 'apply what a program writes'],
    ['vtepctl apply -f net.yaml -o json', 'changes as JSON'],
  ],
  async run(context) {
    const { text, name } = await readDocument(String(context.options.file), context.io);
    const answer = await context.client.apply(text, name);
    const { text: _, ...result } = answer;
    await print(context, result, () => render(context, answer));
  },
};

function render({ io }: Context, answer: ApplyAnswer): string {
  const { changes, revision, tookMs, notInForce, text } = answer;
  const what = changes.length === 0 ? 'nothing changed' : plural(changes.length, 'change');
  const lines = [`${text}revision ${revision}: ${what}, ${Math.ceil(tookMs)} ms`];
  if (notInForce.length > 0) {
    lines.push(paint(io, 'yellow', 'Accepted, but not in force on this host:'));
    for (const { kind, name, why } of notInForce) {
      lines.push(`  ${kindWords[kind].singular} ${name}: ${why}`);
    }
  }
  return `${lines.join('\n')}\n`;
}
