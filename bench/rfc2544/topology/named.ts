// bench/rfc2544/topology/named.ts — systems that somebody else built, on devices that a file
// names.
//
// A file (lab.example.yaml shows all of it) says for every system and scenario at which two devices
// the generator attaches and what frames carry. Nothing is built or taken down here; whether frames
// pass is tried as for any other system.

import { readFileSync } from 'node:fs';
import { isIPv4 } from 'node:net';
import { z } from 'zod';
import { SwitchError } from '../../../src/lib/errors.ts';
import * as field from '../../../src/model/fields.ts';
import { type Grammar, parseText } from '../../../src/model/parse.ts';
import type { Path as FieldPath, Finding } from '../../../src/model/source.ts';
import { firstLack } from '../../../test/support/requires.ts';
import { type End, type Path, type ScenarioName, type System, scenarioNames } from '../path.ts';
import { untilFramesPass } from './lab-system.ts';

const endSchema = field.mapping('an end', {
  device: field.deviceName(),
  namespace: z.string({ error: 'the name of a network namespace' }).optional(),
  mac: field.unicastMac(),
  ip: field.unicastIp(),
  nextHopMac: field.unicastMac(),
});
const endsExpected = 'a list of two ends, left and right';
const endsSchema = field.listOf(endSchema, 'two ends').length(2, { error: endsExpected });
type Ends = z.infer<typeof endsSchema>;

const systemSchema = field.mapping('a system', {
  name: field.nameOf('a system'),
  version: z.string({ error: 'text for the report' }).default('not said'),
  ends: endsSchema.optional(),
  scenarios: field
    .mapping('scenarios', {
      'same-host-same-subnet': endsSchema.optional(),
      'same-host-different-subnets': endsSchema.optional(),
      'across-hosts-same-subnet': endsSchema.optional(),
      'across-hosts-different-subnets': endsSchema.optional(),
    })
    .optional(),
});
const fileSchema = field.mapping('the file', {
  systems: field.listOf(systemSchema, 'systems').min(1, { error: 'at least one system' }),
});
type Named = z.infer<typeof systemSchema>;
type File = z.infer<typeof fileSchema>;

const grammar: Grammar<File> = {
  schema: fileSchema,
  check: ({ systems }) => systems.flatMap((system, at) => checkSystem(systems, system, at)),
  code: 'ERR_CONFIG_INVALID',
  what: 'topology',
};

function checkSystem(all: readonly Named[], system: Named, at: number): Finding[] {
  const path: FieldPath = ['systems', at];
  const findings: Finding[] = [];
  if (all.findIndex(({ name }) => name === system.name) !== at) {
    const message = `there is another system ${system.name}`;
    findings.push({ path: [...path, 'name'], message, expected: 'a name of its own' });
  }
  if ((system.ends === undefined) === (system.scenarios === undefined)) {
    const message = system.ends === undefined ? 'neither is there' : 'both are there';
    findings.push({ path, message, expected: 'either ends, for every scenario, or scenarios' });
  }
  if (system.ends !== undefined) findings.push(...checkEnds(system.ends, [...path, 'ends']));
  for (const name of scenarioNames) {
    const ends = system.scenarios?.[name];
    if (ends !== undefined) findings.push(...checkEnds(ends, [...path, 'scenarios', name]));
  }
  return findings;
}

function checkEnds([left, right]: Ends, path: FieldPath): Finding[] {
  const findings: Finding[] = [];
  if (left!.device === right!.device && left!.namespace === right!.namespace) {
    const message = `both ends are device ${left!.device}`;
    findings.push({ path: [...path, 1, 'device'], message, expected: 'another device' });
  }
  if (isIPv4(left!.ip) !== isIPv4(right!.ip)) {
    const message = `${right!.ip} is of another family than ${left!.ip}`;
    findings.push({ path: [...path, 1, 'ip'], message, expected: 'IPv4 or IPv6 at both ends' });
  }
  return findings;
}

/**
 * The systems of a topology file.
 * @throws Error with a line for each problem: file, line, field, what was found and wanted
 */
export function systemsOf(file: string): readonly System[] {
  try {
    const { systems } = parseText(grammar, readFileSync(file), file);
    return systems.map((system) => new NamedSystem(system, file));
  } catch (error) {
    if (!(error instanceof SwitchError)) throw error;
    const lines = error.problems.map(({ line, path, message, expected }) => {
      const place = line === undefined ? file : `${file}:${line}`;
      return `${place}: ${path === '' ? '' : `${path}: `}${message}; wanted: ${expected}`;
    });
    throw new Error([error.message, ...lines].join('\n'), { cause: error });
  }
}

class NamedSystem implements System {
  readonly name: string;
  readonly scenarios: readonly ScenarioName[];
  readonly #named: Named;
  readonly #file: string;

  constructor(named: Named, file: string) {
    this.name = named.name;
    this.#named = named;
    this.#file = file;
    this.scenarios = scenarioNames.filter((scenario) => this.#ends(scenario) !== undefined);
  }

  readonly lack = () => firstLack(['root']);

  readonly version = async () => this.#named.version;

  readonly build = async (scenario: ScenarioName): Promise<Path> => {
    const ends = this.#ends(scenario);
    if (ends === undefined) {
      throw new Error(`${this.#file}: system ${this.name} has no ends for ${scenario}: add them`);
    }
    const [left, right] = ends.map((end): End => ({ ...end, namespace: end.namespace }));
    const path: Path = { ends: [left!, right!] };
    await untilFramesPass(path, `${this.name} (${this.#file}), ${scenario},`);
    return path;
  };

  readonly close = async (): Promise<void> => {
    // It is not ours.
  };

  #ends(scenario: ScenarioName): Ends | undefined {
    return this.#named.ends ?? this.#named.scenarios?.[scenario];
  }
}
