// cli/commands/complete-words.ts — answers the completion scripts: what could the last word become?
//
// One candidate per line; ":files" alone asks the shell for file names. Never fails: a daemon that
// does not answer has no names to offer.

import { ControlClient } from '../../control/client.ts';
import { findKind, pluralWords } from '../../control/kinds.ts';
import { formats } from '../output.ts';
import type { Context, Verb } from '../verb.ts';

export const verb: Verb = {
  name: 'complete-words',
  summary: 'candidates for the last of some words',
  description: 'Prints what the last word of a command line could become; for completion scripts.',
  arguments: [['[words...]', 'words after "vtepctl"; the last one is incomplete']],
  examples: [['vtepctl complete-words -- get po', 'kinds that begin with "po"']],
  isHidden: true,
  async run(context) {
    const words = context.args.map((word) => word ?? '');
    const last = words.at(-1) ?? '';
    const found = await candidates(context, words.slice(0, -1), last);
    const fitting = [...new Set(found)].filter(
      (word) => word === fileNames || word.startsWith(last),
    );
    if (fitting.length > 0) context.io.stdout.write(`${fitting.join('\n')}\n`);
  },
};

const fileNames = ':files';
const globalOptions = ['--socket', '--output', '--help'];
const shells = ['bash', 'zsh', 'fish'];

async function candidates(
  context: Context,
  before: readonly string[],
  last: string,
): Promise<readonly string[]> {
  const { verbNames, loadVerbs } = await import('../verbs.ts');
  const verbs = await loadVerbs(['help']);
  const socket = optionValue(before, ['--socket']);
  const given = socket === undefined ? context : { ...context, client: new ControlClient(socket) };
  const name = before.find((word) => verbNames.includes(word));
  const verb = verbs.find((one) => one.name === name);
  const previous = before.at(-1) ?? '';
  const values = await optionValues(given, verb, previous);
  if (values !== undefined) return values;
  if (last.startsWith('-')) return [...optionNames(verb), ...globalOptions];
  if (verb === undefined) {
    return verbs.filter(({ isHidden }) => isHidden !== true).map((one) => one.name);
  }
  const position = before.slice(before.indexOf(verb.name) + 1).filter((w) => !w.startsWith('-'));
  return argumentValues(given, verb.name, position);
}

/** Value of the first of some options in the words. */
function optionValue(words: readonly string[], flags: readonly string[]): string | undefined {
  const index = words.findIndex((word) => flags.includes(word));
  return index < 0 ? undefined : words[index + 1];
}

function optionNames(verb: Verb | undefined): string[] {
  return (verb?.options ?? []).flatMap(({ flags }) => /--[\w-]+/.exec(flags)?.[0] ?? []);
}

/** Values for the option before the last word; undefined when that is no option with a value. */
async function optionValues(context: Context, verb: Verb | undefined, previous: string) {
  if (!previous.startsWith('-')) return undefined;
  if (['-o', '--output'].includes(previous)) return formats;
  if (['--socket', '-f', '--file', '-w', '--write'].includes(previous)) return [fileNames];
  if (previous === '--port') return portNames(context);
  const option = verb?.options?.find(({ flags }) => flags.split(/[ ,]+/).includes(previous));
  if (option === undefined || !option.flags.includes('<')) return undefined;
  return option.choices ?? [];
}

async function argumentValues(
  context: Context,
  verb: string,
  position: readonly string[],
): Promise<readonly string[]> {
  const [first] = position;
  if (verb === 'completion' && first === undefined) return shells;
  if (verb === 'why') return whyWords(context, position);
  if (verb === 'capture' && first === undefined) return ['uplink', ...(await portNames(context))];
  if (verb !== 'get') return [];
  if (first === undefined) return pluralWords;
  const kind = findKind(first);
  if (kind === undefined || position.length > 1) return [];
  return context.client.objects(kind).then(
    (objects) => objects.map(({ name }) => name),
    () => [],
  );
}

async function whyWords(context: Context, [first, second]: readonly string[]) {
  if (first === undefined) return ['last-drop', 'tcp', 'udp', 'icmp', 'icmpv6', 'sctp'];
  return first === 'last-drop' && second === undefined ? portNames(context) : [];
}

function portNames({ client }: Context): Promise<readonly string[]> {
  return client.top().then(
    ({ ports }) => ports.map(({ port }) => port),
    () => [],
  );
}
