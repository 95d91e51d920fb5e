// model/coverage.ts — which parts of a document this version accepts but does not act on yet.
//
// The document is complete from the start, so that files written today stay right. What is only
// accepted must never look as if it worked: `vtepctl status` and `vtepctl apply` print this list.
// A feature that comes into force removes its entry here, and nowhere else.

import type { Document } from './document.ts';

/** Part of one object that has no effect yet. */
export interface NotInForce {
  /** Section of the document, such as "routers". */
  readonly kind: 'routers' | 'ports';
  readonly name: string;
  /** Field of the object; absent when the whole object has no effect. */
  readonly field?: string;
  /** What that means for traffic, as a sentence. */
  readonly message: string;
}

/** Everything in the document that has no effect yet, in the order of the document. */
export function notInForce(document: Document): readonly NotInForce[] {
  const list: NotInForce[] = [];
  for (const { name } of document.routers) {
    const message = 'Routers are not in force yet: its subnets stay apart.';
    list.push({ kind: 'routers', name, message });
  }
  for (const { name, qos } of document.ports) {
    if (qos?.ingress !== undefined || qos?.egress !== undefined) {
      const message = 'Rate limits are not in force yet: the port is not limited.';
      list.push({ kind: 'ports', name, field: 'qos', message });
    }
  }
  return list;
}
