// flow/actions.test.ts — action words are those of native/action/action.h.

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import {
  action,
  actionWord,
  actionWordsMax,
  decodeActions,
  formatActions,
  inlineActionWordsMax,
  op,
  opWords,
  unreachable,
} from '../../../src/flow/actions.ts';
import { parseIp, parseMac } from '../../../src/lib/addresses.ts';

const native = join(import.meta.dirname, '../../../native');
const header = readFileSync(join(native, 'action/action.h'), 'utf8');
const limits = readFileSync(join(native, 'base/limits.h'), 'utf8');
const mac = parseMac('02:00:00:00:00:01');

function joined(...parts: Uint32Array[]): Uint32Array {
  return Uint32Array.from(parts.flatMap((part) => [...part]));
}

describe('the ops', () => {
  test('have the numbers of the enum', () => {
    const body = /enum class Op : uint8_t \{([^}]*)\}/.exec(header)?.[1] ?? '';
    const numbers = [...body.matchAll(/(\w+) = (\d+)/g)].map(([, name, n]) => [name, Number(n)]);
    expect(Object.entries(op)).toEqual(numbers.filter(([name]) => name !== 'End'));
  });

  test('have the lengths of op_words', () => {
    const body = /op_words\[[^=]*= \{([^}]*)\}/.exec(header)?.[1] ?? '';
    expect(opWords).toEqual(body.split(',').map(Number));
  });

  test('and programs have the limits of limits.h', () => {
    expect(limits).toContain(`action_words_max = ${actionWordsMax};`);
    expect(limits).toContain(`inline_action_words_max = ${inlineActionWordsMax};`);
  });
});

describe('words', () => {
  test('op, length and argument share the first word', () => {
    expect([...action.drop(7)]).toEqual([22 | (1 << 8) | (7 << 16)]);
    expect(actionWord(op.Drop, 0xffff)).toBe(0xffff0116);
  });

  test('MACs and addresses keep the order of the wire in memory', () => {
    const bytes = new Uint8Array(action.arpReply(mac).buffer);
    expect([...bytes.subarray(4)]).toEqual([2, 0, 0, 0, 0, 1, 0, 0]);
    const words = action.enforceMtu(1450, 3, parseIp('10.0.0.254'), parseIp('fd00::fe'));
    const mtu = new Uint8Array(words.buffer);
    expect([...words.subarray(1, 3)]).toEqual([1450, 3]);
    expect([...mtu.subarray(12, 16)]).toEqual([10, 0, 0, 254]);
    expect([...mtu.subarray(16)]).toEqual([...parseIp('fd00::fe')]);
    expect([...action.enforceMtu(1450, 0).subarray(3)]).toEqual([0, 0, 0, 0, 0]);
  });

  test.each(Object.entries(action))('%s has the length of its op', (_, make) => {
    const words = (make as (...args: unknown[]) => Uint32Array)(
      ...(make === action.arpReply ||
      make === action.ndReply ||
      make === action.setEthSrc ||
      make === action.setEthDst
        ? [mac]
        : make === action.decTtl
          ? []
          : make === action.enforceMtu
            ? [1, 2]
            : make === action.routerAdvert
              ? [mac, 1500, 9000]
              : make === action.routerPrefix
                ? [new Uint8Array(16), 64]
                : [1, 2, 3]),
    );
    expect(words.length).toBe(opWords[words[0]! & 0xff]);
    expect(decodeActions(words, 0, words.length)).toHaveLength(1);
  });
});

describe('programs', () => {
  const program = joined(
    action.enforceMtu(1450, 5),
    action.popVlan(),
    action.outputTunnel(5, 100, 77),
  );

  test('are read back action by action, from anywhere in memory', () => {
    const memory = new Uint32Array(100);
    memory.set(program, 30);
    const names = decodeActions(memory, 30, program.length).map(({ name }) => name);
    expect(names).toEqual(['EnforceMtu', 'PopVlan', 'OutputTunnel']);
  });

  test('are shown with the names of what they refer to', () => {
    const text = formatActions(program, 0, program.length, { tunnelName: () => 'h2' });
    expect(text).toBe('enforce_mtu(1450),pop_vlan,output_tunnel(h2,vni=100)');
    expect(formatActions(action.drop(1), 0, 1)).toBe('drop(too_short)');
    expect(formatActions(action.arpReply(mac), 0, 3)).toBe('arp_reply(02:00:00:00:00:01)');
    expect(formatActions(action.output(4), 0, 2, { portName: (n) => `p${n}` })).toBe('output(p4)');
    expect(formatActions(program, 0, 0)).toBe('drop(no_output)');
    const advert = joined(
      action.routerAdvert(mac, 1450, 9000),
      action.routerPrefix(parseIp('fd00:1::'), 64),
      action.echoReply(),
      action.unreachable(unreachable.host),
    );
    expect(formatActions(advert, 0, advert.length)).toBe(
      'router_advert(02:00:00:00:00:01),router_prefix(fd00:1::/64),echo_reply,unreachable(host)',
    );
  });

  test.each([
    ['an op that does not exist', Uint32Array.of(99 | (1 << 8)), 1],
    ["a length that is not its op's", Uint32Array.of(op.Output | (3 << 8), 1, 2), 3],
    ['an end inside an action', action.output(1), 1],
    ['a word of zero', Uint32Array.of(0), 1],
  ])('%s is refused', (_, words, count) => {
    expect(() => decodeActions(words, 0, count)).toThrow(RangeError);
  });
});
