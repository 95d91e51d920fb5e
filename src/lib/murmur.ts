// lib/murmur.ts — MurmurHash3 on 32-bit words, in numbers that the engine keeps as integers.
//
// Source: Austin Appleby, MurmurHash3_x86_32, which is in the public domain.

/** One word more into the hash: 32 bits, signed. */
export function murmurMix(hash: number, word: number): number {
  let bits = Math.imul(word, 0xcc9e2d51 | 0);
  bits = (bits << 15) | (bits >>> 17);
  const mixed = hash ^ Math.imul(bits, 0x1b873593);
  return (Math.imul((mixed << 13) | (mixed >>> 19), 5) + (0xe6546b64 | 0)) | 0;
}

/** The end of a hash: every bit of it depends on every word. 32 bits, signed. */
export function murmurFinish(hash: number): number {
  let bits = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b | 0);
  bits = Math.imul(bits ^ (bits >>> 13), 0xc2b2ae35 | 0);
  return (bits ^ (bits >>> 16)) | 0;
}
