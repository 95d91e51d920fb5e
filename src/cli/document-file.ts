// cli/document-file.ts — the document that `-f` names: a file, or "-" for standard input.
//
// The daemon parses it; this only reads, and says why it cannot.

import { readFile } from 'node:fs/promises';
import { text } from 'node:stream/consumers';
import { SwitchError } from '../lib/errors.ts';
import type { Io } from './io.ts';
import type { VerbOption } from './verb.ts';

export const fileOption: VerbOption = {
  flags: '-f, --file <file>',
  description: 'document in YAML or JSON; "-" reads standard input',
  isRequired: true,
};

/** Text of the document, and its name for messages. */
export async function readDocument(file: string, io: Io): Promise<{ text: string; name: string }> {
  if (file === '-') return { text: await text(io.stdin), name: '(stdin)' };
  try {
    return { text: await readFile(file, 'utf8'), name: file };
  } catch (cause) {
    throw new SwitchError('ERR_ARGUMENT_INVALID', `cannot read ${file}`, {
      cause,
      remedy: 'Name an existing file with -f, or "-" for standard input.',
    });
  }
}
