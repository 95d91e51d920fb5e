// support/pcap.ts — reads pcap and pcapng files, writes pcap.
//
// Written from the formats' descriptions, apart from src and native, since it judges the captures
// that they write.

import { readFileSync, writeFileSync } from 'node:fs';
import { concat } from './bytes.ts';

export interface CapturedPacket {
  bytes: Uint8Array;
  /** Seconds since 1970, with fraction. */
  time: number;
  /** Length on the wire; more than the bytes when the capture was cut. */
  originalBytes: number;
  /**
   * pcapng: the packet's comments, its interface's number and, when named, that interface's name.
   */
  comments: string[];
  interfaceId: number;
  interfaceName?: string;
}

const linkTypeEthernet = 1;

/** Writes frames as a microsecond pcap with link type Ethernet, one millisecond apart. */
export function writePcap(path: string, frames: Uint8Array[]) {
  writeFileSync(path, pcapBytes(frames));
}

export function pcapBytes(frames: Uint8Array[]): Uint8Array {
  const header = littleEndian(0xa1b2c3d4, 0x00040002, 0, 0, 262144, linkTypeEthernet);
  const records = frames.flatMap((frame, index) => {
    const micros = (index % 1000) * 1000;
    return [littleEndian(Math.floor(index / 1000), micros, frame.length, frame.length), frame];
  });
  return concat([header, ...records]);
}

function littleEndian(...values: number[]) {
  const bytes = new Uint8Array(values.length * 4);
  const view = new DataView(bytes.buffer);
  for (const [index, value] of values.entries()) view.setUint32(index * 4, value, true);
  return bytes;
}

/** Just the frames of a pcap or pcapng file. */
export function readFrames(path: string): Uint8Array[] {
  return readCapture(path).map((packet) => packet.bytes);
}

/**
 * The packets of a pcap (either byte order, micro- or nanoseconds) or pcapng file. Throws on a
 * broken file.
 */
export function readCapture(path: string): CapturedPacket[] {
  return parseCapture(new Uint8Array(readFileSync(path)));
}

export function parseCapture(file: Uint8Array): CapturedPacket[] {
  if (file.length < 12) throw new Error(`a capture of ${file.length} bytes has no header`);
  const view = new DataView(file.buffer, file.byteOffset, file.length);
  if (view.getUint32(0) === 0x0a0d0d0a) return parsePcapng(file, view);
  for (const little of [true, false]) {
    const magic = view.getUint32(0, little);
    if (magic === 0xa1b2c3d4) return parsePcap(file, view, { little, tick: 1e-6 });
    if (magic === 0xa1b23c4d) return parsePcap(file, view, { little, tick: 1e-9 });
  }
  throw new Error(`not a capture: it begins with 0x${view.getUint32(0).toString(16)}`);
}

function parsePcap(file: Uint8Array, view: DataView, form: { little: boolean; tick: number }) {
  const { little, tick } = form;
  const packets: CapturedPacket[] = [];
  for (let at = 24; at < file.length; ) {
    if (at + 16 > file.length) throw new Error(`pcap: record header cut at ${at}`);
    const length = view.getUint32(at + 8, little);
    if (at + 16 + length > file.length) throw new Error(`pcap: packet cut at ${at}`);
    packets.push({
      bytes: file.slice(at + 16, at + 16 + length),
      time: view.getUint32(at, little) + view.getUint32(at + 4, little) * tick,
      originalBytes: view.getUint32(at + 12, little),
      comments: [],
      interfaceId: 0,
    });
    at += 16 + length;
  }
  return packets;
}

interface Interface {
  name?: string;
  ticksPerSecond: number;
}

interface Section {
  little: boolean;
  interfaces: Interface[];
  packets: CapturedPacket[];
}

const blockTypes = { section: 0x0a0d0d0a, interface: 1, simple: 3, enhanced: 6 };

function parsePcapng(file: Uint8Array, view: DataView): CapturedPacket[] {
  const section: Section = { little: true, interfaces: [], packets: [] };
  for (let at = 0; at < file.length; ) {
    if (at + 12 > file.length) throw new Error(`pcapng: block header cut at ${at}`);
    if (view.getUint32(at) === blockTypes.section) {
      section.little = view.getUint32(at + 8, true) === 0x1a2b3c4d;
      section.interfaces = [];
    }
    const length = view.getUint32(at + 4, section.little);
    if (length < 12 || length % 4 !== 0 || at + length > file.length) {
      throw new Error(`pcapng: block of ${length} bytes at ${at} does not fit`);
    }
    if (view.getUint32(at + length - 4, section.little) !== length) {
      throw new Error(`pcapng: the two lengths of the block at ${at} differ`);
    }
    const body = new DataView(file.buffer, file.byteOffset + at + 8, length - 12);
    readBlock(view.getUint32(at, section.little), body, section);
    at += length;
  }
  return section.packets;
}

function readBlock(type: number, body: DataView, section: Section) {
  const { little } = section;
  if (type === blockTypes.interface) {
    const options = readOptions(body, 8, little);
    section.interfaces.push(readInterface(options));
  } else if (type === blockTypes.enhanced) {
    const interfaceId = body.getUint32(0, little);
    const port = section.interfaces[interfaceId];
    if (!port)
      throw new Error(`pcapng: packet of interface ${interfaceId}, which is not described`);
    const ticks = body.getUint32(4, little) * 2 ** 32 + body.getUint32(8, little);
    const length = body.getUint32(12, little);
    const options = readOptions(body, 20 + Math.ceil(length / 4) * 4, little);
    section.packets.push({
      bytes: viewBytes(body, 20, length),
      time: ticks / port.ticksPerSecond,
      originalBytes: body.getUint32(16, little),
      comments: options.filter(({ code }) => code === 1).map(({ value }) => text(value)),
      interfaceId,
      interfaceName: port.name,
    });
  } else if (type === blockTypes.simple) {
    const originalBytes = body.getUint32(0, little);
    const bytes = viewBytes(body, 4, Math.min(originalBytes, body.byteLength - 4));
    section.packets.push({ bytes, time: 0, originalBytes, comments: [], interfaceId: 0 });
  }
}

function readInterface(options: { code: number; value: Uint8Array }[]): Interface {
  const name = options.find(({ code }) => code === 2);
  const resolution = options.find(({ code }) => code === 9)?.value[0] ?? 6;
  const power = resolution & 0x7f;
  return {
    name: name && text(name.value),
    ticksPerSecond: resolution & 0x80 ? 2 ** power : 10 ** power,
  };
}

function readOptions(body: DataView, start: number, little: boolean) {
  const options: { code: number; value: Uint8Array }[] = [];
  for (let at = start; at + 4 <= body.byteLength; ) {
    const code = body.getUint16(at, little);
    const length = body.getUint16(at + 2, little);
    if (code === 0) break;
    options.push({ code, value: viewBytes(body, at + 4, length) });
    at += 4 + Math.ceil(length / 4) * 4;
  }
  return options;
}

function viewBytes(view: DataView, offset: number, length: number): Uint8Array {
  if (offset + length > view.byteLength)
    throw new Error('pcapng: content passes the end of its block');
  return new Uint8Array(view.buffer, view.byteOffset + offset, length).slice();
}

function text(bytes: Uint8Array) {
  return new TextDecoder().decode(bytes);
}
