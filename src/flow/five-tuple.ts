// flow/five-tuple.ts — "tcp 10.0.0.1:40000 10.0.0.2:80" as a match: who talks to whom.
//
// The form in which people name a connection. A port may be left out, or be "*": any. An IPv6
// address with a port has brackets. ICMP has no ports.

import { formatIp, formatMac, tryParseIp } from '../lib/addresses.ts';
import { SwitchError } from '../lib/errors.ts';
import {
  ethType,
  type Field,
  field,
  getBytes,
  getNumber,
  ipProto,
  newKey,
  setBytes,
  setNumber,
  setOnes,
} from './key.ts';
import type { Match } from './key-text.ts';

const form = 'protocol, source and destination, such as "tcp 10.0.0.1:40000 10.0.0.2:80"';

interface End {
  readonly address: Uint8Array;
  /** Undefined: any. */
  readonly port: number | undefined;
}

interface FiveTuple {
  readonly protocol: number;
  readonly source: End;
  readonly destination: End;
}

/** Whether the text begins as a five-tuple does: with a protocol, and something behind it. */
export function looksLikeFiveTuple(text: string): boolean {
  const [first = '', ...rest] = wordsOf(text);
  return rest.length > 0 && protocolOf(first) !== undefined;
}

/**
 * Reads a five-tuple: the match of its packets, and of those that answer them.
 * @throws SwitchError ERR_ARGUMENT_INVALID that names the part that is wrong
 */
export function parseFiveTuple(text: string): { there: Match; back: Match } {
  const words = wordsOf(text);
  const [first = '', source = '', destination = ''] = words;
  if (words.length !== 3) wrong(`"${text}" has ${words.length} parts`, form);
  const protocol = protocolOf(first);
  if (protocol === undefined) {
    wrong(`"${first}" is no protocol`, `${Object.keys(ipProto).join(', ')} or a number`);
  }
  const tuple = {
    protocol: protocol!,
    source: endOf(source, protocol!),
    destination: endOf(destination, protocol!),
  };
  if (tuple.source.address.length !== tuple.destination.address.length) {
    wrong(`${source} and ${destination} are of two families`, 'both IPv4 or both IPv6');
  }
  const { source: from, destination: to } = tuple;
  return {
    there: matchOf(tuple),
    back: matchOf({ protocol: protocol!, source: to, destination: from }),
  };
}

function wordsOf(text: string): string[] {
  return text.split(/[\s,]+|->|>/).filter((word) => word !== '');
}

function protocolOf(text: string): number | undefined {
  const named = Object.entries(ipProto).find(([name]) => name === text.toLowerCase())?.[1];
  if (named !== undefined) return named;
  return /^\d{1,3}$/.test(text) && Number(text) <= 255 ? Number(text) : undefined;
}

function endOf(text: string, protocol: number): End {
  const whole = tryParseIp(text.replace(/^\[(.*)\]$/, '$1'));
  if (whole !== undefined) return { address: whole, port: undefined };
  const [, bracketed, plain, portText = ''] = /^(?:\[(.*)\]|([^:]*)):([^:]*)$/.exec(text) ?? [];
  const address = tryParseIp(bracketed ?? plain ?? '');
  if (address === undefined) {
    wrong(`"${text}" is no address`, 'an address with a port, such as 10.0.0.1:80 or [fd00::1]:80');
  }
  const port = /^\d{1,5}$/.test(portText) ? Number(portText) : Number.NaN;
  if (portText !== '*' && !(port <= 0xffff)) {
    wrong(`"${portText}" of "${text}" is no port`, 'a number from 0 to 65535, or *');
  }
  const icmp = protocol === ipProto.icmp || protocol === ipProto.icmpv6;
  if (icmp && portText !== '*') wrong(`"${text}" has a port`, 'none: ICMP has no ports');
  return { address: address!, port: portText === '*' ? undefined : port };
}

function matchOf({ protocol, source, destination }: FiveTuple): Match {
  const [key, mask] = [newKey(), newKey()];
  const four = source.address.length === 4;
  const number = (entry: Field, value: number) => {
    setNumber(key, 0, entry, value);
    setOnes(mask, 0, entry);
  };
  number(field.eth_type, four ? ethType.ipv4 : ethType.ipv6);
  number(field.ip_proto, protocol);
  const [from, to] = four ? [field.ip_src, field.ip_dst] : [field.ipv6_src, field.ipv6_dst];
  for (const [entry, { address }] of [
    [from, source],
    [to, destination],
  ] as const) {
    setBytes(key, 0, entry, address);
    setOnes(mask, 0, entry);
  }
  if (source.port !== undefined) number(field.tp_src, source.port);
  if (destination.port !== undefined) number(field.tp_dst, destination.port);
  return { key, mask };
}

function wrong(found: string, expected: string): never {
  throw new SwitchError('ERR_ARGUMENT_INVALID', `${found}; expected ${expected}`, {
    remedy: 'Name a connection as "tcp 10.0.0.1:40000 10.0.0.2:80"; a port may be *.',
  });
}

/** Who talks to whom, as text. */
export interface FiveTupleText {
  readonly protocol: string;
  readonly source: string;
  readonly destination: string;
}

/** The ends of a packet: addresses and ports, or MACs of what is no IP. */
export function formatFiveTuple(key: Uint32Array): FiveTupleText {
  const type = getNumber(key, 0, field.eth_type);
  if (type !== ethType.ipv4 && type !== ethType.ipv6) {
    const [source, destination] = [field.eth_src, field.eth_dst].map((entry) =>
      formatMac(getBytes(key, 0, entry)),
    );
    const protocol = type === ethType.arp ? 'arp' : `0x${type.toString(16).padStart(4, '0')}`;
    return { protocol, source: source!, destination: destination! };
  }
  const number = getNumber(key, 0, field.ip_proto);
  const name = Object.entries(ipProto).find(([, value]) => value === number)?.[0];
  const six = type === ethType.ipv6;
  const hasPorts = name === 'tcp' || name === 'udp' || name === 'sctp';
  const end = (address: Field, port: Field) => {
    const text = formatIp(getBytes(key, 0, address));
    if (!hasPorts) return text;
    return `${six ? `[${text}]` : text}:${getNumber(key, 0, port)}`;
  };
  return {
    protocol: name ?? `${number}`,
    source: end(six ? field.ipv6_src : field.ip_src, field.tp_src),
    destination: end(six ? field.ipv6_dst : field.ip_dst, field.tp_dst),
  };
}
