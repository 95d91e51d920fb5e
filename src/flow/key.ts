// flow/key.ts — the flow key as TypeScript sees it: 28 words, field by field.
//
// Mirrors native/flow/flow_key.h to the byte. A key, and a mask likewise, is 28 words of any
// Uint32Array (a little-endian view, as on every machine we run on) from an index `base`: the
// upcall ring, a flow slot and a rule are read where they lie, and nothing is allocated. Fields
// marked 'network' keep the byte order of the wire inside those words; every function here takes
// and gives numbers in host order. Text of keys is in key-text.ts.

export const flowKeyBytes = 112;
export const flowKeyWords = flowKeyBytes / 4;

export const fragNone = 0;
export const fragFirst = 1;
export const fragLater = 3;
/** Set in vlan_tci and vlan_tci2 when there is a tag. */
export const vlanPresent = 0x1000;
/** eth_type of an 802.3 frame: it has a length instead. */
export const ethTypeNone = 0x05ff;

export const ethType = Object.freeze({
  ipv4: 0x0800,
  arp: 0x0806,
  vlan: 0x8100,
  qinq: 0x88a8,
  ipv6: 0x86dd,
});
export const ipProto = Object.freeze({
  icmp: 1,
  tcp: 6,
  udp: 17,
  icmpv6: 58,
  sctp: 132,
});

/** Bits of ct_state, as in OVS; all zero: the packet is not tracked. */
export const ctState = Object.freeze({
  /** Would start a connection. */
  new: 0x01,
  /** Belongs to a committed connection. */
  est: 0x02,
  /** An ICMP error about one. */
  rel: 0x04,
  /** In the reply direction. */
  rpl: 0x08,
  /** Fits no connection in its state. */
  inv: 0x10,
  tracked: 0x20,
  /** Ours: the operator lets the connection go on, whatever the policy says of it by now. */
  kept: 0x40,
});

/** What a field holds, which decides its text. */
export type FieldKind = 'number' | 'hex' | 'mac' | 'ipv4' | 'ipv6';

/** One field of the key. Fields of up to 4 bytes are numbers, longer ones are bytes. */
export interface Field {
  readonly name: FieldName;
  /** Bytes from the start of the key. */
  readonly offset: number;
  readonly bytes: number;
  readonly order: 'host' | 'network';
  readonly kind: FieldKind;
}

const table = [
  ['in_port', 0, 4, 'host', 'number'],
  ['tunnel_id', 4, 4, 'host', 'number'],
  ['tunnel_src', 8, 2, 'host', 'number'],
  ['eth_type', 10, 2, 'network', 'hex'],
  ['vlan_tci', 12, 2, 'network', 'hex'],
  ['vlan_tci2', 14, 2, 'network', 'hex'],
  ['eth_dst', 16, 6, 'network', 'mac'],
  ['ip_proto', 22, 1, 'host', 'number'],
  ['ip_frag', 23, 1, 'host', 'number'],
  ['eth_src', 24, 6, 'network', 'mac'],
  ['ct_state', 30, 1, 'host', 'hex'],
  ['tp_src', 32, 2, 'network', 'number'],
  ['tp_dst', 34, 2, 'network', 'number'],
  ['tunnel_port', 36, 4, 'host', 'number'],
  ['ip_src', 40, 4, 'network', 'ipv4'],
  ['ip_dst', 44, 4, 'network', 'ipv4'],
  ['ipv6_src', 48, 16, 'network', 'ipv6'],
  ['ipv6_dst', 64, 16, 'network', 'ipv6'],
  ['nd_target', 80, 16, 'network', 'ipv6'],
  ['arp_sha', 96, 6, 'network', 'mac'],
  ['arp_tha', 102, 6, 'network', 'mac'],
] as const;

export type FieldName = (typeof table)[number][0];

/** All fields, in the order of the key. */
export const fields: readonly Field[] = table.map(([name, offset, bytes, order, kind]) => ({
  name,
  offset,
  bytes,
  order,
  kind,
}));

const byName = new Map<string, Field>(fields.map((entry) => [entry.name, entry]));

/** Fields by name: `field.eth_dst`. */
export const field = Object.freeze(Object.fromEntries(byName)) as {
  readonly [Name in FieldName]: Field;
};

/** The field of that name, or undefined. */
export function findField(name: string): Field | undefined {
  return byName.get(name);
}

/** A key, or a mask, of zeros. */
export function newKey(): Uint32Array {
  return new Uint32Array(flowKeyWords);
}

/** The byte at `offset` of the key at `base`. */
export function getByte(words: Uint32Array, base: number, offset: number): number {
  return (words[base + (offset >> 2)]! >>> ((offset & 3) * 8)) & 0xff;
}

/** Sets the byte at `offset` of the key at `base`. */
export function setByte(words: Uint32Array, base: number, offset: number, value: number): void {
  const shift = (offset & 3) * 8;
  const index = base + (offset >> 2);
  words[index] = (words[index]! & ~(0xff << shift)) | ((value & 0xff) << shift);
}

/** Value in host order of a field of at most 4 bytes. */
export function getNumber(words: Uint32Array, base: number, entry: Field): number {
  let value = 0;
  for (let index = 0; index < entry.bytes; index += 1) {
    const place = entry.order === 'network' ? index : entry.bytes - 1 - index;
    value = value * 256 + getByte(words, base, entry.offset + place);
  }
  return value;
}

/** Sets a field of at most 4 bytes from a value in host order. */
export function setNumber(words: Uint32Array, base: number, entry: Field, value: number): void {
  for (let index = 0; index < entry.bytes; index += 1) {
    const place = entry.order === 'network' ? entry.bytes - 1 - index : index;
    setByte(words, base, entry.offset + place, (value >>> (index * 8)) & 0xff);
  }
}

/** A copy of the bytes of a field, as they stand in the key. */
export function getBytes(words: Uint32Array, base: number, entry: Field): Uint8Array {
  const bytes = new Uint8Array(entry.bytes);
  for (let index = 0; index < entry.bytes; index += 1) {
    bytes[index] = getByte(words, base, entry.offset + index);
  }
  return bytes;
}

/** Sets the bytes of a field; `bytes` has the length of the field. */
export function setBytes(words: Uint32Array, base: number, entry: Field, bytes: Uint8Array): void {
  if (bytes.length !== entry.bytes) {
    throw new RangeError(`${entry.name} has ${entry.bytes} bytes, not ${bytes.length}`);
  }
  for (let index = 0; index < entry.bytes; index += 1) {
    setByte(words, base, entry.offset + index, bytes[index]!);
  }
}

/** Sets every bit of a field: in a mask, an exact match. */
export function setOnes(words: Uint32Array, base: number, entry: Field): void {
  for (let index = 0; index < entry.bytes; index += 1) {
    setByte(words, base, entry.offset + index, 0xff);
  }
}

/** True when no bit of the field is set. */
export function isZero(words: Uint32Array, base: number, entry: Field): boolean {
  for (let index = 0; index < entry.bytes; index += 1) {
    if (getByte(words, base, entry.offset + index) !== 0) return false;
  }
  return true;
}

/** True when every bit of the field is set. */
export function isOnes(words: Uint32Array, base: number, entry: Field): boolean {
  for (let index = 0; index < entry.bytes; index += 1) {
    if (getByte(words, base, entry.offset + index) !== 0xff) return false;
  }
  return true;
}

/** True when 28 words are equal. */
export function sameKey(
  one: Uint32Array,
  oneBase: number,
  other: Uint32Array,
  otherBase: number,
): boolean {
  for (let index = 0; index < flowKeyWords; index += 1) {
    if (one[oneBase + index] !== other[otherBase + index]) return false;
  }
  return true;
}
