// rules/network.ts — a compiled document with a pipeline, and packets described in a few words.

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { formatActions } from '../../../src/flow/actions.ts';
import { dropReasonName } from '../../../src/flow/drop-reasons.ts';
import { formatMatch, parseKey } from '../../../src/flow/key-text.ts';
import type { Document } from '../../../src/model/document.ts';
import { parseDocument } from '../../../src/model/parse.ts';
import { Pipeline } from '../../../src/pipeline/pipeline.ts';
import { Translation, translate } from '../../../src/pipeline/translate.ts';
import { type Compiled, compile, nothingCompiled } from '../../../src/rules/compile.ts';
import { diffCompiled } from '../../../src/rules/diff.ts';
import { Numbering } from '../../../src/rules/numbering.ts';

const examples = join(import.meta.dirname, '../../../examples');

export const exampleNames = [
  'two-hosts.yaml',
  'three-tier.yaml',
  'trunk.yaml',
  'routing.yaml',
] as const;

export function example(name: string): Document {
  return parseDocument(readFileSync(join(examples, name)), name);
}

/** One host's view of a document. */
export class TestNetwork {
  readonly numbering: Numbering;
  readonly compiled: Compiled;
  readonly pipeline: Pipeline;

  constructor(document: Document, host: string, numbering = new Numbering()) {
    this.numbering = numbering;
    this.compiled = compile(document, { host, numbering, uplinkDevice: 'uplink0' });
    this.pipeline = new Pipeline();
    this.pipeline.apply(diffCompiled(nothingCompiled, this.compiled).rules);
  }

  /** Key of a packet; devices by name, `tunnel_src` by "host/encap". */
  key(text: string): Uint32Array {
    const named = text.replace(/tunnel_src=([^,]*\/[^,]*)/, (_, name: string) => {
      return `tunnel_src=${this.numbering.find('tunnels', name)}`;
    });
    return parseKey(named, {
      portNumber: (name) => this.numbering.find('devices', name),
    });
  }

  walk(text: string): Translation {
    const out = new Translation();
    translate(this.pipeline, this.key(text), 0, out);
    return out;
  }

  /** What becomes of the packet: actions with names, or the drop reason. */
  verdict(text: string): string {
    const out = this.walk(text);
    if (out.dropReason !== 0) return dropReasonName(out.dropReason);
    return formatActions(out.actions, 0, out.actionCount, {
      portName: (number) => this.numbering.name('devices', number),
      tunnelName: (number) => this.numbering.name('tunnels', number),
      groupName: (number) => this.numbering.name('groups', number),
    });
  }

  /** The match of the megaflow that the packet leads to. */
  megaflow(text: string): string {
    const out = this.walk(text);
    return formatMatch(out.key, 0, out.mask, 0, {
      portName: (number) => this.numbering.name('devices', number),
    });
  }
}

/** A document from YAML, with two hosts named h1 and h2 unless it has its own. */
export function documentOf(yaml: string): Document {
  const hosts = yaml.includes('hosts:')
    ? ''
    : `hosts:
  - { name: h1, tunnelIp: 172.31.1.1 }
  - { name: h2, tunnelIp: 172.31.1.2 }
`;
  return parseDocument(`${hosts}${yaml}`, 'test.yaml');
}
