// cli/commands/apply.ts — `vtepctl apply`: puts a document in force and says what that changed.
//
// What is accepted but not in force is said here, not hidden in a log.

import type { ApplyAnswer } from '../../control/client.ts';
import { type ExistingMode, existingModes, kindWords } from '../../control/kinds.ts';
import type { ApplyOptions } from '../../control/switch-api.ts';
import { SwitchError } from '../../lib/errors.ts';
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
    'differs from the document in force is touched.\n\n' +
    'Live connections that the document denies are cut at once, as with Neutron and OVN, and\n' +
    'whoever speaks next on established TCP gets a reset. --existing reset tells silent ends,\n' +
    'too, and cuts those that an earlier apply kept; keep lets all go on until they end, drain\n' +
    'for so many seconds and one more. "vtepctl diff" lists them.',
  options: [
    fileOption,
    {
      flags: '--existing <what>',
      description: 'what becomes of live connections that the document denies',
      choices: existingModes,
    },
    {
      flags: '--drain-seconds <seconds>',
      description: 'how long drained connections go on (default: 300)',
      range: [1, 86_400],
    },
  ],
  examples: [
    ['vtepctl apply -f net.yaml', 'apply a file'],
    ['make-net | vtepctl apply -f -', 'apply what a program writes'],
    ['vtepctl apply -f net.yaml -o json', 'changes as JSON'],
    ['vtepctl apply -f net.yaml --existing keep', 'and cut no live connection'],
  ],
  async run(context) {
    const { text, name } = await readDocument(String(context.options.file), context.io);
    const answer = await context.client.apply(text, name, optionsOf(context));
    const { text: _, ...result } = answer;
    await print(context, result, () => render(context, answer));
  },
};

function optionsOf({ options }: Context): ApplyOptions {
  const existing = options.existing as ExistingMode | undefined;
  const seconds = options.drainSeconds as number | undefined;
  if (seconds !== undefined && existing !== 'drain') {
    throw new SwitchError('ERR_ARGUMENT_INVALID', '--drain-seconds is for --existing drain only');
  }
  return {
    ...(existing === undefined ? {} : { existing }),
    ...(seconds === undefined ? {} : { drainSeconds: seconds }),
  };
}

function render({ io }: Context, answer: ApplyAnswer): string {
  const { changes, revision, tookMs, notInForce, text } = answer;
  const what = changes.length === 0 ? 'nothing changed' : plural(changes.length, 'change');
  const lines = [`${text}revision ${revision}: ${what}, ${Math.ceil(tookMs)} ms`];
  if (answer.kept > 0) {
    const many = plural(answer.kept, 'connection');
    lines.push(`${many} that the document denies may go on for now`);
  }
  if (notInForce.length > 0) {
    lines.push(paint(io, 'yellow', 'Accepted, but not in force on this host:'));
    for (const { kind, name, why } of notInForce) {
      lines.push(`  ${kindWords[kind].singular} ${name}: ${why}`);
    }
  }
  return `${lines.join('\n')}\n`;
}
