// model/router-mac.ts — the MAC address of a router: the same on every host.
//
// Every host answers for the gateways itself (anycast), so a port that moves finds its gateway
// under the address that it knows. What the document does not give is made of the router's name.

import { createHash } from 'node:crypto';
import { formatMac } from '../lib/addresses.ts';
import type { Router } from './document.ts';

/** First byte: locally administered, unicast, and not the 02 that people begin with. */
const firstByte = 0x0e;

/** Canonical text of the router's MAC address. */
export function routerMacOf({ name, mac }: Pick<Router, 'name' | 'mac'>): string {
  if (mac !== undefined) return mac;
  const digest = createHash('sha256').update(`router ${name}`).digest();
  return formatMac(Uint8Array.of(firstByte, ...digest.subarray(0, 5)));
}
