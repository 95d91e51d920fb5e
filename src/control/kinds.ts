// control/kinds.ts — the words for the sections of a document: `ports`, `port`, `po`.
//
// The routes and the command line take the same words. This file imports nothing at run time, so
// that the command line starts without loading the model.

import type { DocumentKind } from '../model/document.ts';

export interface KindWords {
  /** One object, for people and as a word: "security group" is typed `security-group`. */
  readonly singular: string;
  readonly plural: string;
  readonly short: string;
}

/** In the order of the document. */
export const kindWords: Readonly<Record<DocumentKind, KindWords>> = {
  hosts: { singular: 'host', plural: 'hosts', short: 'ho' },
  networks: { singular: 'network', plural: 'networks', short: 'net' },
  subnets: { singular: 'subnet', plural: 'subnets', short: 'sub' },
  routers: { singular: 'router', plural: 'routers', short: 'ro' },
  securityGroups: { singular: 'security group', plural: 'security-groups', short: 'sg' },
  addressSets: { singular: 'address set', plural: 'address-sets', short: 'as' },
  acls: { singular: 'ACL', plural: 'acls', short: 'acl' },
  ports: { singular: 'port', plural: 'ports', short: 'po' },
};

export const kinds = Object.keys(kindWords) as readonly DocumentKind[];

const kindOf = new Map<string, DocumentKind>();
for (const kind of kinds) {
  const { singular, plural, short } = kindWords[kind];
  for (const word of [kind, singular, plural, short]) kindOf.set(plain(word), kind);
}

/** Words that `vtepctl get` shows and completes. */
export const pluralWords: readonly string[] = kinds.map((kind) => kindWords[kind].plural);

/** The section that a word means, without regard to case and hyphens; undefined for none. */
export function findKind(word: string): DocumentKind | undefined {
  return kindOf.get(plain(word));
}

function plain(word: string): string {
  return word.replace(/[-_ ]/g, '').toLowerCase();
}

/**
 * What becomes of live connections that a change cuts. keep: they go on until they end. drain: for
 * a limited time. reset: cut at once, established TCP by a reset.
 */
export const existingModes = ['keep', 'drain', 'reset'] as const;
export type ExistingMode = (typeof existingModes)[number];
