#!/usr/bin/env node
// cli/vtepctl.ts — the command line of vtepd: a verb per question, an exit code per failure.
//
// Talks to the daemon through its control socket only. Output for people by default, JSON and YAML
// for scripts. Errors go to standard error: what is wrong, and what to do.

import { readFileSync, realpathSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { Command, CommanderError, Option } from 'commander';
import { ControlClient, DaemonUnreachable } from '../control/client.ts';
import { type ErrorCode, renderError, SwitchError } from '../lib/errors.ts';
import { type Io, processIo } from './io.ts';
import { formats } from './output.ts';
import type { Context, Format, Verb, VerbOption } from './verb.ts';
import { loadVerbs } from './verbs.ts';

export const socketDefault = '/run/vtepd/control.sock';

export const exitCode = {
  ok: 0,
  failed: 1,
  usage: 2,
  unreachable: 3,
  documentInvalid: 4,
  notFound: 5,
} as const;

const exitCodesHelp = `
Exit codes:
  0  done
  1  failed for another reason
  2  wrong arguments
  3  no vtepd answers at the socket
  4  the document is not valid; nothing was changed
  5  there is no such object

Environment:
  VTEPCTL_SOCKET  socket to use without --socket
  NO_COLOR        no colours`;

/**
 * Runs one command line.
 * @param argv arguments after the name of the program
 * @returns the exit code
 */
export async function main(argv: readonly string[], io: Io): Promise<number> {
  try {
    const program = makeProgram(await loadVerbs(argv), io);
    await program.parseAsync([...argv], { from: 'user' });
    return exitCode.ok;
  } catch (error) {
    if (error instanceof CommanderError) {
      // Commander has written its sentence already.
      return error.exitCode === 0 ? exitCode.ok : exitCode.usage;
    }
    io.stderr.write(`vtepctl: ${renderError(error)}\n`);
    return exitCodeOf(error);
  }
}

const codeOf: Partial<Record<ErrorCode, number>> = {
  ERR_ARGUMENT_INVALID: exitCode.usage,
  ERR_DOCUMENT_INVALID: exitCode.documentInvalid,
  ERR_NOT_FOUND: exitCode.notFound,
  ERR_PORT_NOT_FOUND: exitCode.notFound,
};

function exitCodeOf(error: unknown): number {
  if (error instanceof DaemonUnreachable) return exitCode.unreachable;
  if (!(error instanceof SwitchError)) return exitCode.failed;
  return codeOf[error.code] ?? exitCode.failed;
}

function makeProgram(verbs: readonly Verb[], io: Io): Command {
  const program = new Command('vtepctl');
  // Settings first: sub-commands inherit them when they are made.
  program
    .exitOverride()
    .configureOutput({
      writeOut: (text) => io.stdout.write(text),
      writeErr: (text) => io.stderr.write(text),
      outputError: (text, writeLine) => writeLine(text.replace(/^error: /, 'vtepctl: ')),
      getOutHelpWidth: () => 100,
      getErrHelpWidth: () => 100,
    })
    .configureHelp({ showGlobalOptions: true })
    .showSuggestionAfterError()
    .description('Shows and changes the virtual switch of this host.')
    .version(packageVersion(), '--version', 'print the version and exit')
    .helpOption('-h, --help', 'print help and exit')
    .helpCommand('help [verb]', 'print help on a verb')
    .option('--socket <path>', `control socket of vtepd (default: ${socketDefault})`)
    .addOption(new Option('-o, --output <format>', 'form of the output').choices(formats))
    .addHelpText('after', exitCodesHelp);
  for (const verb of verbs) addVerb(program, verb, io);
  return program;
}

function addVerb(program: Command, verb: Verb, io: Io): void {
  const command = program.command(verb.name, { hidden: verb.isHidden === true });
  command.summary(verb.summary).description(verb.description);
  for (const [name, description] of verb.arguments ?? []) command.argument(name, description);
  for (const option of verb.options ?? []) command.addOption(commanderOption(option));
  command.addHelpText('after', examplesText(verb));
  command.action(async () => {
    const { socket, output, ...options } = command.optsWithGlobals();
    const path = socket ?? io.env.VTEPCTL_SOCKET ?? socketDefault;
    const context: Context = {
      io,
      client: new ControlClient(path),
      format: (output ?? 'table') as Format,
      args: command.processedArgs.flat(),
      options,
      version: packageVersion(),
    };
    await verb.run(context);
  });
}

function commanderOption({ flags, description, choices, isRequired, range }: VerbOption): Option {
  const option = new Option(flags, description).makeOptionMandatory(isRequired === true);
  if (choices !== undefined) option.choices(choices);
  if (range !== undefined) option.argParser((text) => numberIn(text, option.long ?? '', range));
  return option;
}

function numberIn(text: string, flag: string, [min, max]: readonly [number, number]): number {
  const value = /^\d{1,15}$/.test(text) ? Number(text) : Number.NaN;
  if (value >= min && value <= max) return value;
  const message = `${flag}: ${JSON.stringify(text)} is not a whole number from ${min} to ${max}`;
  throw new SwitchError('ERR_ARGUMENT_INVALID', message);
}

function examplesText({ examples }: Verb): string {
  const width = Math.max(...examples.map(([line]) => line.length));
  const lines = examples.map(([line, what]) => `  ${line.padEnd(width)}  ${what}`);
  return ['\nExamples:', ...lines].join('\n');
}

function packageVersion(): string {
  const file = new URL('../../package.json', import.meta.url);
  return String(JSON.parse(readFileSync(file, 'utf8')).version);
}

function isProgram(): boolean {
  const [, script] = process.argv;
  if (script === undefined) return false;
  try {
    // The name in the bin folder is a link to this file.
    return realpathSync(script) === fileURLToPath(import.meta.url);
  } catch {
    return false;
  }
}

if (isProgram()) process.exitCode = await main(process.argv.slice(2), processIo());
