// pipeline/spread.ts — which of several equal ways a packet takes (ECMP).
//
// A function of the packet's key, so that a connection keeps its way, on every host and after every
// restart. What it reads goes into the mask, and each value that it reads there becomes a megaflow
// of its own; so of the ports only the low bytes count: a client's connections to one service
// spread over 256 values, and its ten thousands of ports are still no more flows than that.
// Fragments behind the first have no ports, so ports do not count in any of them.

import { ethType, fragNone, ipProto } from '../flow/key.ts';
import { murmurFinish, murmurMix } from '../lib/murmur.ts';

/** Words of the key. The EtherType is the upper half of its word, in the order of the wire. */
const ethTypeWord = 2;
const ethTypeMask = 0xffff0000;
const ipv6Type = (((ethType.ipv6 & 0xff) << 8) | (ethType.ipv6 >> 8)) * 0x10000;
const protocolWord = 5;
const protocolMask = 0xffff0000;
const portsWord = 8;
/** The second bytes of both ports. */
const portsMask = 0xff00ff00;
const addressWords = { four: [10, 11], six: [12, 13, 14, 15, 16, 17, 18, 19] };

/** A number below `count`; what it depends on is added to `mask`. */
export function spread(key: Uint32Array, mask: Uint32Array, count: number): number {
  const read = (word: number, bits: number): number => {
    mask[word] = mask[word]! | bits;
    return key[word]! & bits;
  };
  const type = read(ethTypeWord, ethTypeMask) >>> 0;
  const words = type === ipv6Type ? addressWords.six : addressWords.four;
  const protocols = read(protocolWord, protocolMask);
  let hash = murmurMix(0, (protocols >>> 16) & 0xff);
  for (const word of words) hash = murmurMix(hash, read(word, 0xffffffff));
  const protocol = (protocols >>> 16) & 0xff;
  const ports = protocol === ipProto.tcp || protocol === ipProto.udp || protocol === ipProto.sctp;
  if (ports && protocols >>> 24 === fragNone) hash = murmurMix(hash, read(portsWord, portsMask));
  return (murmurFinish(hash) >>> 0) % count;
}
