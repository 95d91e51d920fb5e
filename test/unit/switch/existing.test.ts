// switch/existing.test.ts — connections that are kept, drained and cut, and who hears of it.

import { beforeEach, expect, test } from 'vitest';
import type { EntryReport } from '../../../src/datapath/events.ts';
import type { ConnectionMark } from '../../../src/datapath/rings.ts';
import { ctState } from '../../../src/flow/key.ts';
import { parseKey } from '../../../src/flow/key-text.ts';
import { Existing } from '../../../src/switch/existing.ts';

let nowMs: number;
let marks: ConnectionMark[];
let sent: number;
let live: EntryReport[];
let existing: Existing;

beforeEach(() => {
  nowMs = 1000;
  marks = [];
  sent = 0;
  live = [];
  existing = new Existing({
    lister: {
      list: async () => live,
      mark: async (more) => {
        marks.push(...more);
      },
    },
    send: () => {
      sent += 1;
      return true;
    },
    nowMs: () => nowMs,
  });
});

function entry(connection: number, state = '0x22'): EntryReport {
  const key = parseKey(
    `in_port=1,eth_type=ip,ip_proto=tcp,ct_state=${state},ip_src=10.0.0.1,ip_dst=10.0.0.2`,
  );
  return {
    ...{ worker: 0, key, packets: 1, bytes: 100, flow: 1, generation: 1, decision: 1 },
    ...{ connection, connectionGeneration: 4, state: 3, ageMs: 5000, idleMs: 20 },
  };
}

const mark = (connection: number, bits: number, ms: number): ConnectionMark => {
  return { connection, generation: 4, bits, ms };
};

test('what is kept is marked for ever, and never ended', async () => {
  await existing.keep([[entry(1)], [entry(2)]], 0);
  expect(marks).toEqual([mark(1, ctState.kept, 0), mark(2, ctState.kept, 0)]);
  nowMs += 1e9;
  await existing.tick();
  expect(marks).toHaveLength(2);
});

test('what is drained ends when its time is up, and its ends are told', async () => {
  await existing.keep([[entry(1), entry(1)]], 5000);
  expect(marks.splice(0)).toEqual([mark(1, ctState.kept, 5000)]);
  nowMs += 4999;
  await existing.tick();
  expect([marks, sent]).toEqual([[], 0]);
  nowMs += 1;
  await existing.tick();
  expect(marks.splice(0)).toEqual([mark(1, 0, 0)]);
  // Two segments for each end.
  expect(sent).toBe(4);
  await existing.tick();
  expect([marks, sent]).toEqual([[], 4]);
});

test('what was drained and is kept now does not end', async () => {
  await existing.keep([[entry(1)]], 5000);
  await existing.keep([[entry(1)]], 0);
  marks = [];
  nowMs += 6000;
  await existing.tick();
  expect([marks, sent]).toEqual([[], 0]);
});

test('unmark ends all that were let go on, by whomever, and gives their entries', async () => {
  live = [entry(1, '0x62'), entry(1, '0x6a'), entry(2)];
  await existing.keep([[entry(1)]], 5000);
  marks = [];
  const ended = await existing.unmark();
  expect(ended.map(({ connection }) => connection)).toEqual([1, 1]);
  expect(marks.splice(0)).toEqual([mark(1, 0, 0)]);
  nowMs += 6000;
  await existing.tick();
  expect(marks).toEqual([]);
});
