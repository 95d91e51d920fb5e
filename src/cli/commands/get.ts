// cli/commands/get.ts — `vtepctl get`: the objects of a kind, and how they fare on this host.
//
// Columns are those fields of a kind that tell its objects apart; with a name everything is shown.

import type { DocumentKind } from '../../control/client.ts';
import { findKind, kinds, kindWords, pluralWords } from '../../control/kinds.ts';
import type { ObjectStatus } from '../../control/switch-api.ts';
import { didYouMean } from '../../lib/closest.ts';
import { SwitchError } from '../../lib/errors.ts';
import { type Io, paint, type Style } from '../io.ts';
import { facts, inline, print, table } from '../output.ts';
import type { Verb } from '../verb.ts';

const shortWords = kinds.map((kind) => `${kindWords[kind].plural} (${kindWords[kind].short})`);

export const verb: Verb = {
  name: 'get',
  summary: 'show objects of the document and their state here',
  description:
    `Shows the objects of a kind with their state on this host: active, partial, waiting (the\n` +
    `reason is beside it) or elsewhere. Kinds: ${shortWords.slice(0, 4).join(', ')},\n` +
    `${shortWords.slice(4).join(', ')}.`,
  arguments: [
    ['<kind>', 'kind of object: plural, singular or short'],
    ['[name]', 'one object, with all its fields'],
  ],
  examples: [
    ['vtepctl get ports', 'all ports'],
    ['vtepctl get port web1', 'everything about one port'],
    ['vtepctl get net -o yaml', 'networks as YAML'],
  ],
  async run(context) {
    const [word = '', name] = context.args;
    const kind = requiredKind(word);
    if (name !== undefined) {
      const object = await context.client.object(kind, name);
      return print(context, object, () => renderOne(context.io, object));
    }
    const objects = await context.client.objects(kind);
    return print(context, objects, () => renderAll(context.io, kind, objects));
  },
};

function requiredKind(word: string): DocumentKind {
  const kind = findKind(word);
  if (kind !== undefined) return kind;
  const guess = didYouMean(word, pluralWords);
  throw new SwitchError('ERR_ARGUMENT_INVALID', `there is no kind "${word}"${guess}`, {
    remedy: `Kinds are ${pluralWords.join(', ')}.`,
  });
}

type Cell = readonly [head: string, value: (object: ObjectStatus) => unknown];

const field = (name: string, head = name): Cell => [head, ({ spec }) => spec[name]];
const fact = (name: string, head = name): Cell => [head, ({ facts }) => facts[name]];
const length = (name: string): Cell => [
  name,
  ({ spec }) => (Array.isArray(spec[name]) ? spec[name].length : 0),
];

const cells: Readonly<Record<DocumentKind, readonly Cell[]>> = {
  hosts: [field('tunnelIp', 'tunnel ip'), field('kind')],
  networks: [
    field('vni'),
    field('encap'),
    field('mtu'),
    ['learning', ({ spec }) => (spec.learning ? 'yes' : 'no')],
  ],
  subnets: [field('network'), field('cidr'), field('gateway')],
  routers: [field('subnets'), fact('mac'), length('routes')],
  securityGroups: [length('rules')],
  addressSets: [length('addresses')],
  acls: [field('priority'), field('action'), field('direction'), field('protocol'), field('ports')],
  ports: [
    field('network'),
    field('host'),
    field('device'),
    field('vlan'),
    fact('mode'),
    field('mac'),
    field('ips'),
  ],
};

const styles: Readonly<Record<ObjectStatus['state'], Style>> = {
  active: 'green',
  partial: 'yellow',
  waiting: 'yellow',
  elsewhere: 'dim',
};

function renderAll(io: Io, kind: DocumentKind, objects: readonly ObjectStatus[]) {
  if (objects.length === 0) return `no ${kindWords[kind].plural}\n`;
  const heads = ['name', ...cells[kind].map(([head]) => head), 'state', 'why'];
  const rows = objects.map((object) => [
    object.name,
    ...cells[kind].map(([, value]) => inline(value(object))),
    paint(io, styles[object.state], object.state),
    object.why,
  ]);
  return table(
    heads.map((head) => ({ head: head.toUpperCase() })),
    rows,
  );
}

function renderOne(io: Io, { kind, name, state, why, spec, facts: found }: ObjectStatus): string {
  const shown = Object.entries(spec).filter(([key]) => key !== 'name');
  const known = Object.entries(found);
  const head = facts([
    [kindWords[kind].singular, name],
    ['state', paint(io, styles[state], state) + (why === '' ? '' : `: ${why}`)],
  ]);
  const here = known.length === 0 ? '' : `\non this host:\n${indented(known)}`;
  return `${head}\nas in the document:\n${indented(shown)}${here}`;
}

const indent = '  ';

/** One line per field; mappings and lists of them have lines of their own below it. */
function indented(entries: readonly (readonly [string, unknown])[], depth = 1): string {
  const before = indent.repeat(depth);
  const plain = entries.filter(([, value]) => !isNested(value));
  const nested = entries.filter(([, value]) => isNested(value));
  const lines = plain.map(([name, value]) => [before + name, inline(value) || '-'] as const);
  const blocks = nested.map(([name, value]) => {
    const parts = Array.isArray(value) ? value : [value];
    const below = parts.map((part: object) => indented(Object.entries(part), depth + 1));
    return `${before}${name}\n${below.join('\n')}`;
  });
  return facts(lines) + blocks.join('');
}

/** A mapping, or a list of mappings. */
function isNested(value: unknown): boolean {
  const isMapping = (one: unknown) =>
    typeof one === 'object' && one !== null && !Array.isArray(one) && Object.keys(one).length > 0;
  return Array.isArray(value) ? value.length > 0 && value.every(isMapping) : isMapping(value);
}
