// flow/packet.ts — packet bytes to flow key, a second time.
//
// Written from the RFCs, not from native/flow/parse.cpp, which does the same for every packet: the
// two are held against each other by tests, and `vtepctl trace` reads captured packets with this
// one. Tunnels are not opened: the bytes are an inner frame, or one that came in by a local port.
// Sources: RFC 826, 791, 8200, 4861; RFC 6946 on atomic fragments; IEEE 802.3 clause 3.2.6.

import { dropReason } from './drop-reasons.ts';
import {
  ethType,
  ethTypeNone,
  field,
  flowKeyWords,
  fragFirst,
  fragLater,
  ipProto,
  setBytes,
  setNumber,
  vlanPresent,
} from './key.ts';

const ethHeaderBytes = 14;
const vlanTagBytes = 4;
const vlanTagsMax = 2;
const arpBytes = 28;
const extensionsMax = 8;
/** Below this, the field is the length of an 802.3 frame. */
const ethTypeMin = 0x0600;

const hopByHop = 0;
const routing = 43;
const fragment = 44;
const authentication = 51;
const noNextHeader = 59;
const destinationOptions = 60;
const extensions = new Set([hopByHop, routing, fragment, authentication, destinationOptions]);

/** First byte behind the fixed part of each ND message, and the option with a MAC that counts. */
const ndShapes: ReadonlyMap<number, { options: number; target: boolean; link: number }> = new Map([
  [133, { options: 8, target: false, link: 1 }],
  [134, { options: 16, target: false, link: 1 }],
  [135, { options: 24, target: true, link: 1 }],
  [136, { options: 24, target: true, link: 2 }],
  [137, { options: 40, target: true, link: 2 }],
]);

export interface ParseOptions {
  /** Check the IPv4 header checksum. */
  readonly verifyChecksums?: boolean;
}

/**
 * Fills the key at `base` of `words` (in_port and the tunnel fields stay 0) from a frame. Returns
 * the drop reason of a malformed one, else dropReason.None.
 */
export function parsePacket(
  frame: Uint8Array,
  words: Uint32Array,
  base = 0,
  options: ParseOptions = {},
): number {
  words.fill(0, base, base + flowKeyWords);
  return new Parser(frame, words, base, options).ethernet();
}

class Parser {
  readonly #frame: Uint8Array;
  readonly #view: DataView;
  readonly #words: Uint32Array;
  readonly #base: number;
  readonly #verify: boolean;
  #version: 4 | 6 = 4;
  #fragment = 0;

  constructor(frame: Uint8Array, words: Uint32Array, base: number, options: ParseOptions) {
    this.#frame = frame;
    this.#view = new DataView(frame.buffer, frame.byteOffset, frame.byteLength);
    this.#words = words;
    this.#base = base;
    this.#verify = options.verifyChecksums ?? false;
  }

  ethernet(): number {
    if (this.#frame.length < ethHeaderBytes) return dropReason.TooShort;
    this.#bytes('eth_dst', 0);
    this.#bytes('eth_src', 6);
    let at = ethHeaderBytes;
    let type = this.#view.getUint16(12);
    for (let tags = 0; type === ethType.vlan || type === ethType.qinq; tags += 1) {
      if (tags === vlanTagsMax || at + vlanTagBytes > this.#frame.length) return dropReason.BadVlan;
      const vid = this.#view.getUint16(at) & 0x0fff;
      this.#number(tags === 0 ? 'vlan_tci' : 'vlan_tci2', vid | vlanPresent);
      type = this.#view.getUint16(at + 2);
      at += vlanTagBytes;
    }
    this.#number('eth_type', type < ethTypeMin ? ethTypeNone : type);
    if (type === ethType.ipv4) return this.#ipv4(at);
    if (type === ethType.ipv6) return this.#ipv6(at);
    return type === ethType.arp ? this.#arp(at) : dropReason.None;
  }

  #arp(at: number): number {
    if (this.#frame.length - at < arpBytes) return dropReason.BadArp;
    const kind = [0, 2].map((offset) => this.#view.getUint16(at + offset));
    const lengths = this.#view.getUint16(at + 4);
    if (kind[0] !== 1 || kind[1] !== ethType.ipv4 || lengths !== 0x0604) return dropReason.BadArp;
    const opcode = this.#view.getUint16(at + 6);
    this.#number('ip_proto', opcode > 255 ? 0 : opcode);
    this.#bytes('arp_sha', at + 8);
    this.#bytes('ip_src', at + 14);
    this.#bytes('arp_tha', at + 18);
    this.#bytes('ip_dst', at + 24);
    return dropReason.None;
  }

  #ipv4(at: number): number {
    const left = this.#frame.length - at;
    if (left < 20) return dropReason.BadIpv4;
    const version = this.#view.getUint8(at);
    const header = (version & 15) * 4;
    const total = this.#view.getUint16(at + 2);
    if (version >> 4 !== 4 || header < 20 || header > total || total > left) {
      return dropReason.BadIpv4;
    }
    if (this.#verify && this.#sum(at, header) !== 0xffff) return dropReason.BadIpv4Checksum;
    this.#bytes('ip_src', at + 12);
    this.#bytes('ip_dst', at + 16);
    const place = this.#view.getUint16(at + 6);
    this.#setFragment((place & 0x1fff) !== 0, (place & 0x2000) !== 0);
    this.#version = 4;
    return this.#transport(this.#view.getUint8(at + 9), at + header, at + total);
  }

  #ipv6(at: number): number {
    const left = this.#frame.length - at;
    if (left < 40) return dropReason.BadIpv6;
    const payload = this.#view.getUint16(at + 4);
    if (this.#view.getUint8(at) >> 4 !== 6 || payload > left - 40) return dropReason.BadIpv6;
    this.#bytes('ipv6_src', at + 8);
    this.#bytes('ipv6_dst', at + 24);
    this.#version = 6;
    const end = at + 40 + payload;
    let next = this.#view.getUint8(at + 6);
    let place = at + 40;
    for (let count = 0; extensions.has(next) && this.#fragment !== fragLater; count += 1) {
      const late = next === hopByHop && count > 0;
      const bytes = late || count === extensionsMax ? 0 : this.#extension(next, place, end);
      if (bytes === 0) return dropReason.BadIpv6Extension;
      next = this.#view.getUint8(place);
      place += bytes;
    }
    return this.#transport(next, place, end, this.#view.getUint8(at + 7));
  }

  /** Bytes of an extension header; 0: it is cut off. */
  #extension(kind: number, at: number, end: number): number {
    if (end - at < 8) return 0;
    if (kind === fragment) {
      const place = this.#view.getUint16(at + 2);
      this.#setFragment((place & 0xfff8) !== 0, (place & 1) !== 0);
      return 8;
    }
    const length = this.#view.getUint8(at + 1);
    const bytes = kind === authentication ? (length + 2) * 4 : (length + 1) * 8;
    return bytes < 8 || bytes > end - at ? 0 : bytes;
  }

  #transport(protocol: number, at: number, end: number, hopLimit = 0): number {
    this.#number('ip_proto', protocol);
    if (this.#fragment === fragLater || protocol === noNextHeader) return dropReason.None;
    const left = end - at;
    switch (protocol) {
      case ipProto.tcp: {
        const header = left < 20 ? 0 : (this.#view.getUint8(at + 12) >> 4) * 4;
        return this.#ports(at, header >= 20 && header <= left);
      }
      case ipProto.udp: {
        const length = left < 8 ? 0 : this.#view.getUint16(at + 4);
        return this.#ports(at, length >= 8 && (length <= left || this.#fragment === fragFirst));
      }
      case ipProto.sctp:
        return this.#ports(at, left >= 12);
      case ipProto.icmp:
        return this.#version === 4 ? this.#icmp(at, left >= 8) : dropReason.None;
      case ipProto.icmpv6:
        return this.#version === 6 ? this.#icmpv6(at, end, hopLimit) : dropReason.None;
      default:
        return dropReason.None;
    }
  }

  #ports(at: number, whole: boolean): number {
    if (!whole) return dropReason.BadL4;
    this.#bytes('tp_src', at);
    this.#bytes('tp_dst', at + 2);
    return dropReason.None;
  }

  #icmp(at: number, whole: boolean): number {
    if (!whole) return dropReason.BadL4;
    this.#number('tp_src', this.#view.getUint8(at));
    this.#number('tp_dst', this.#view.getUint8(at + 1));
    return dropReason.None;
  }

  #icmpv6(at: number, end: number, hopLimit: number): number {
    if (end - at < 4) return dropReason.BadL4;
    const type = this.#view.getUint8(at);
    const long = type <= 4 || type === 128 || type === 129;
    if (this.#icmp(at, end - at >= (long ? 8 : 4)) !== dropReason.None) return dropReason.BadL4;
    const shape = ndShapes.get(type);
    if (shape === undefined) return dropReason.None;
    const valid = hopLimit === 255 && this.#view.getUint8(at + 1) === 0 && this.#fragment === 0;
    if (!valid || end - at < shape.options) return dropReason.BadL4;
    if (shape.target) {
      if (this.#view.getUint8(at + 8) === 0xff) return dropReason.BadL4;
      this.#bytes('nd_target', at + 8);
    }
    return this.#ndOptions(at + shape.options, end, shape.link);
  }

  #ndOptions(first: number, end: number, link: number): number {
    let found = false;
    for (let at = first; at < end; ) {
      const bytes = end - at < 8 ? 0 : this.#view.getUint8(at + 1) * 8;
      if (bytes === 0 || bytes > end - at) return dropReason.BadL4;
      if (this.#view.getUint8(at) === link && !found) {
        this.#bytes('arp_sha', at + 2);
        found = true;
      }
      at += bytes;
    }
    return dropReason.None;
  }

  #setFragment(later: boolean, more: boolean): void {
    if (!later && !more) return;
    this.#fragment = later ? fragLater : fragFirst;
    this.#number('ip_frag', this.#fragment);
  }

  #sum(at: number, bytes: number): number {
    let sum = 0;
    for (let offset = 0; offset < bytes; offset += 2) sum += this.#view.getUint16(at + offset);
    while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
    return sum;
  }

  #bytes(name: keyof typeof field, at: number): void {
    const entry = field[name];
    setBytes(this.#words, this.#base, entry, this.#frame.subarray(at, at + entry.bytes));
  }

  #number(name: keyof typeof field, value: number): void {
    setNumber(this.#words, this.#base, field[name], value);
  }
}
