// control/pcapng.ts — captures as pcapng, written and read in pieces (draft-ietf-opsawg-pcapng).
//
// Every piece is whole blocks, little-endian. An interface is described right before its first
// packet, so ports may appear while a capture runs. Times are nanoseconds since the Unix epoch. A
// reader that is too slow loses packet blocks only (withoutPackets), never a description; how many
// were lost stands in an interface statistics block at the end.

import { Buffer } from 'node:buffer';

const blockType = { section: 0x0a0d0d0a, interface: 1, statistics: 5, packet: 6 } as const;
const byteOrderMagic = 0x1a2b3c4d;
const versionMajor = 1;
const linkTypeEthernet = 1;
const snapLength = 0;
const nanoseconds = 9;
const blockFrameBytes = 12;

/** Option codes: 1 is a comment in every block, the others depend on the block. */
const option = {
  end: 0,
  comment: 1,
  sectionHardware: 2,
  sectionSystem: 3,
  sectionApplication: 4,
  interfaceName: 2,
  interfaceDescription: 3,
  interfaceResolution: 9,
  statisticsReceived: 4,
  statisticsDropped: 5,
} as const;

const optionBytesMax = 0xffff;

export interface CapturedPacket {
  readonly interfaceName: string;
  /** Said once, when the interface is first seen. */
  readonly interfaceDescription?: string;
  /** Since the Unix epoch. */
  readonly timeNs: bigint;
  /** What was kept of the frame, without FCS. */
  readonly bytes: Uint8Array;
  /** Length of the frame on the wire; absent: all was kept. */
  readonly originalBytes?: number;
  readonly comment?: string;
}

export interface PcapngOptions {
  /** Program that writes, such as "vtepd 0.1.0". */
  readonly application: string;
  /** Name of the host, as a comment of the section. */
  readonly host: string;
  readonly system?: string;
}

/** Writes one section. Pieces are to be written in the order in which they were made. */
export class PcapngWriter {
  readonly #options: PcapngOptions;
  readonly #interfaces = new Map<string, number>();

  constructor(options: PcapngOptions) {
    this.#options = options;
  }

  /** The section header; the first piece. */
  header(): Uint8Array {
    const fixed = Buffer.alloc(16);
    fixed.writeUInt32LE(byteOrderMagic, 0);
    fixed.writeUInt16LE(versionMajor, 4);
    fixed.writeBigInt64LE(-1n, 8);
    const { host, system, application } = this.#options;
    return block(blockType.section, [
      fixed,
      textOption(option.comment, `host ${host}`),
      ...(system === undefined ? [] : [textOption(option.sectionSystem, system)]),
      textOption(option.sectionApplication, application),
      endOption(),
    ]);
  }

  /** A packet, after the description of its interface when that is new. */
  packet(packet: CapturedPacket): Uint8Array {
    const { interfaceName, interfaceDescription, timeNs, bytes, comment } = packet;
    let number = this.#interfaces.get(interfaceName);
    let description: Uint8Array | undefined;
    if (number === undefined) {
      number = this.#interfaces.size;
      this.#interfaces.set(interfaceName, number);
      description = describeInterface(interfaceName, interfaceDescription);
    }
    const fixed = Buffer.alloc(20);
    fixed.writeUInt32LE(number, 0);
    writeTime(fixed, 4, timeNs);
    fixed.writeUInt32LE(bytes.length, 12);
    fixed.writeUInt32LE(packet.originalBytes ?? bytes.length, 16);
    const options = comment ? [textOption(option.comment, comment), endOption()] : [];
    const piece = block(blockType.packet, [fixed, padded(bytes), ...options]);
    return description === undefined ? piece : Buffer.concat([description, piece]);
  }
}

/**
 * A block that says how many packets of interface 0 are not in the capture.
 * @param lost packets that the reader was too slow for
 */
export function lostPackets(lost: number, timeNs: bigint): Uint8Array {
  const fixed = Buffer.alloc(12);
  writeTime(fixed, 4, timeNs);
  const count = Buffer.alloc(8);
  count.writeBigUInt64LE(BigInt(lost));
  const comment = `${lost} packets are missing: the reader was too slow`;
  return block(blockType.statistics, [
    fixed,
    textOption(option.comment, comment),
    writeOption(option.statisticsDropped, count),
    endOption(),
  ]);
}

/** A piece without its packets, and how many those were. */
export function withoutPackets(piece: Uint8Array): { kept: Uint8Array; packets: number } {
  const view = bufferOf(piece);
  const kept: Uint8Array[] = [];
  let packets = 0;
  for (let offset = 0; offset + blockFrameBytes <= view.length; ) {
    const length = view.readUInt32LE(offset + 4);
    if (view.readUInt32LE(offset) === blockType.packet) packets += 1;
    else kept.push(view.subarray(offset, offset + length));
    offset += Math.max(length, blockFrameBytes);
  }
  return { kept: Buffer.concat(kept), packets };
}

export type CaptureItem =
  | { readonly kind: 'packet'; readonly packet: CapturedPacket }
  /** Packets that the capture itself says are missing. */
  | { readonly kind: 'lost'; readonly packets: number };

/** Reads what PcapngWriter wrote, from pieces of any size. Other writers' options are skipped. */
export class PcapngReader {
  #pending: Buffer = Buffer.alloc(0);
  readonly #interfaces: { name: string; description: string }[] = [];

  /**
   * The items that are whole after this piece.
   * @throws Error when the bytes are not little-endian pcapng
   */
  push(piece: Uint8Array): CaptureItem[] {
    this.#pending = Buffer.concat([this.#pending, piece]);
    const items: CaptureItem[] = [];
    while (this.#pending.length >= blockFrameBytes) {
      const type = this.#pending.readUInt32LE(0);
      const length = this.#pending.readUInt32LE(4);
      if (length < blockFrameBytes || length % 4 !== 0) throw new Error('not a pcapng capture');
      if (this.#pending.length < length) break;
      const item = this.#item(type, this.#pending.subarray(8, length - 4));
      if (item !== undefined) items.push(item);
      this.#pending = this.#pending.subarray(length);
    }
    return items;
  }

  #item(type: number, body: Buffer): CaptureItem | undefined {
    if (type === blockType.section && body.readUInt32LE(0) !== byteOrderMagic) {
      throw new Error('not a little-endian pcapng capture');
    }
    if (type === blockType.interface) {
      const options = readOptions(body.subarray(8));
      const name = options.get(option.interfaceName)?.toString() ?? '';
      const description = options.get(option.interfaceDescription)?.toString() ?? '';
      this.#interfaces.push({ name, description });
    }
    if (type === blockType.statistics) {
      const lost = readOptions(body.subarray(12)).get(option.statisticsDropped);
      if (lost !== undefined) return { kind: 'lost', packets: Number(lost.readBigUInt64LE()) };
    }
    return type === blockType.packet ? this.#packet(body) : undefined;
  }

  #packet(body: Buffer): CaptureItem {
    const { name, description } = this.#interfaces[body.readUInt32LE(0)] ?? {
      name: '',
      description: '',
    };
    const kept = body.readUInt32LE(12);
    const timeNs = (BigInt(body.readUInt32LE(4)) << 32n) | BigInt(body.readUInt32LE(8));
    const options = readOptions(body.subarray(20 + roundUp(kept)));
    const packet = {
      interfaceName: name,
      interfaceDescription: description,
      timeNs,
      bytes: body.subarray(20, 20 + kept),
      originalBytes: body.readUInt32LE(16),
      comment: options.get(option.comment)?.toString() ?? '',
    };
    return { kind: 'packet', packet };
  }
}

function describeInterface(name: string, description: string | undefined): Uint8Array {
  const fixed = Buffer.alloc(8);
  fixed.writeUInt16LE(linkTypeEthernet, 0);
  fixed.writeUInt32LE(snapLength, 4);
  return block(blockType.interface, [
    fixed,
    textOption(option.interfaceName, name),
    ...(description ? [textOption(option.interfaceDescription, description)] : []),
    writeOption(option.interfaceResolution, Buffer.from([nanoseconds])),
    endOption(),
  ]);
}

/** A time is two words, the upper one first, whatever the byte order. */
function writeTime(buffer: Buffer, offset: number, timeNs: bigint): void {
  buffer.writeUInt32LE(Number((timeNs >> 32n) & 0xffffffffn), offset);
  buffer.writeUInt32LE(Number(timeNs & 0xffffffffn), offset + 4);
}

function block(type: number, parts: readonly Uint8Array[]): Uint8Array {
  const length = parts.reduce((sum, part) => sum + part.length, blockFrameBytes);
  const head = Buffer.alloc(8);
  head.writeUInt32LE(type, 0);
  head.writeUInt32LE(length, 4);
  const tail = Buffer.alloc(4);
  tail.writeUInt32LE(length, 0);
  return Buffer.concat([head, ...parts, tail]);
}

function textOption(code: number, text: string): Uint8Array {
  return writeOption(code, bufferOf(new TextEncoder().encode(text)).subarray(0, optionBytesMax));
}

function writeOption(code: number, value: Uint8Array): Uint8Array {
  const head = Buffer.alloc(4);
  head.writeUInt16LE(code, 0);
  head.writeUInt16LE(value.length, 2);
  return Buffer.concat([head, padded(value)]);
}

function endOption(): Uint8Array {
  return Buffer.alloc(4);
}

function readOptions(body: Buffer): Map<number, Buffer> {
  const options = new Map<number, Buffer>();
  for (let offset = 0; offset + 4 <= body.length; ) {
    const code = body.readUInt16LE(offset);
    const length = body.readUInt16LE(offset + 2);
    if (code === option.end) break;
    options.set(code, body.subarray(offset + 4, offset + 4 + length));
    offset += 4 + roundUp(length);
  }
  return options;
}

function padded(bytes: Uint8Array): Uint8Array {
  const missing = roundUp(bytes.length) - bytes.length;
  return missing === 0 ? bytes : Buffer.concat([bytes, Buffer.alloc(missing)]);
}

function roundUp(length: number): number {
  return (length + 3) & ~3;
}

function bufferOf(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
