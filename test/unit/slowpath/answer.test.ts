// slowpath/answer.test.ts — every record gets a verdict; the table of what and when.

import { describe, expect, test } from 'vitest';
import { action, actionWord, op } from '../../../src/flow/actions.ts';
import { dropReason } from '../../../src/flow/drop-reasons.ts';
import { parseKey } from '../../../src/flow/key-text.ts';
import { Match, makeRule } from '../../../src/pipeline/match.ts';
import { Pipeline } from '../../../src/pipeline/pipeline.ts';
import type { Step } from '../../../src/pipeline/rule.ts';
import { Answerer, recordsPerTurn } from '../../../src/slowpath/answer.ts';
import { recordKind, upcallReason } from '../../../src/slowpath/datapath-port.ts';
import { FlowStore } from '../../../src/slowpath/flow-store.ts';
import { Learning } from '../../../src/slowpath/learning.ts';
import { FakeDatapath, type FakeOptions } from './fake-datapath.ts';

const done: Step = { kind: 'done' };
const output = (port: number, times = 1): Step[] =>
  Array.from({ length: times }, () => ({ kind: 'actions', words: action.output(port) }) as const);

function rule(inPort: number, steps: readonly Step[]) {
  return makeRule('classify', {
    id: `${inPort}`,
    priority: 1,
    match: new Match().number('in_port', inPort),
    steps,
    origin: { object: 'test', path: '' },
  });
}

function setUp(options: FakeOptions = {}) {
  const datapath = new FakeDatapath(options);
  const pipeline = new Pipeline([
    rule(1, [...output(2), done]),
    rule(2, [{ kind: 'drop', reason: dropReason.AclDeny }]),
    rule(3, [{ kind: 'once' }, ...output(4), done]),
    rule(4, [...output(5, 12), done]),
    rule(5, [{ kind: 'once' }, ...output(5, 12), done]),
  ]);
  const store = new FlowStore(datapath.flows);
  const learning = new Learning(pipeline, { addressChanged() {}, everythingChanged() {} });
  const logged: string[] = [];
  const time = { ms: 1000 };
  const answerer = new Answerer({
    pipeline,
    store,
    learning,
    nowMs: () => time.ms,
    log: (message, error) => logged.push(`${message}: ${(error as Error).message}`),
  });
  const [worker] = datapath.workers;
  const verdict = (text: string, kind?: number, reason?: number) => {
    expect(worker!.ask(parseKey(text), kind, reason)).toBe(true);
    answerer.answer(worker!);
    worker!.executeVerdicts();
    return worker!.outcomes.pop()!;
  };
  return { datapath, worker: worker!, pipeline, store, answerer, logged, time, verdict };
}

describe('a question', () => {
  test('is answered with a flow that the worker installs', () => {
    const { verdict, worker, store, answerer } = setUp();
    const outcome = verdict('in_port=1,tp_dst=80');
    expect([outcome.kind, ...outcome.actions]).toEqual(['flow', ...action.output(2)]);
    expect(worker.flows).toHaveLength(1);
    expect(worker.complaints).toEqual([]);
    expect(store.size).toBe(1);
    expect(answerer.counts).toMatchObject({ upcalls: 1, flows: 1, known: 0 });
  });

  test('asked again names the flow that there is', () => {
    const { verdict, worker, answerer } = setUp();
    verdict('in_port=1,tp_dst=80');
    expect(verdict('in_port=1,tp_dst=443').kind).toBe('flow');
    expect(worker.flows).toHaveLength(1);
    expect(answerer.counts).toMatchObject({ flows: 1, known: 1 });
  });

  test('that ends in a drop makes a flow that drops', () => {
    const outcome = setUp().verdict('in_port=2');
    expect([...outcome.actions]).toEqual([actionWord(op.Drop, dropReason.AclDeny)]);
  });

  test('whose answer holds for one packet only makes no flow', () => {
    const { verdict, store } = setUp();
    const outcome = verdict('in_port=3');
    expect([outcome.kind, ...outcome.actions]).toEqual(['once', ...action.output(4)]);
    expect(store.size).toBe(0);
  });

  test('whose one-shot answer is too long for the record is dropped with translate_limit', () => {
    expect(setUp().verdict('in_port=5')).toMatchObject({
      kind: 'drop',
      reason: dropReason.TranslateLimit,
    });
  });

  test('from a follower is told to look again', () => {
    const { verdict, answerer } = setUp();
    expect(verdict('in_port=1', recordKind.Follower).kind).toBe('retry');
    expect(answerer.counts).toMatchObject({ upcalls: 0, followers: 1 });
  });

  test('that an action copied forwards nothing', () => {
    const { verdict, store } = setUp();
    const outcome = verdict('in_port=1', recordKind.Upcall, upcallReason.Action);
    expect(outcome).toMatchObject({ kind: 'drop', reason: dropReason.None });
    expect(store.size).toBe(0);
  });
});

describe('a full flow store', () => {
  test('answers packet by packet, and drops by name what is too long for that', () => {
    const { verdict, store } = setUp({ flows: 2 });
    expect(verdict('in_port=1').kind).toBe('flow');
    expect(store.fill).toBe(1);
    expect(verdict('in_port=2')).toMatchObject({ kind: 'drop', reason: dropReason.AclDeny });
    expect(verdict('in_port=4')).toMatchObject({ kind: 'drop', reason: dropReason.FlowTableFull });
    expect(verdict('in_port=1').kind).toBe('flow');
  });
});

describe('a failure of the slow path', () => {
  test('drops its packet with slow_path_error and no other, and is logged once a second', () => {
    const { verdict, answerer, logged, time, pipeline } = setUp();
    const table = pipeline.tables[0]!;
    const { lookup } = table;
    table.lookup = (key, mask) => {
      if (key[0] === 9) throw new Error('nine');
      return lookup.call(table, key, mask);
    };
    for (let count = 0; count < 5; count += 1) {
      expect(verdict('in_port=9')).toMatchObject({
        kind: 'drop',
        reason: dropReason.SlowPathError,
      });
    }
    expect(verdict('in_port=1').kind).toBe('flow');
    expect(answerer.counts.errors).toBe(5);
    expect(logged).toHaveLength(1);
    time.ms += 1000;
    verdict('in_port=9');
    expect(logged[1]).toContain('and 4 more');
    expect(logged[1]).toContain('nine');
  });

  test('a record of a size that cannot be stops the reading: the ring is broken', () => {
    const { worker, answerer } = setUp();
    worker.ask(parseKey('in_port=1'));
    worker.upcalls[0] = 100;
    expect(() => answerer.answer(worker)).toThrow(/record of 100 bytes/);
  });
});

describe('many questions', () => {
  test('are answered in turns, around the end of the ring and of its cursors', () => {
    const { worker, answerer } = setUp({ start: 2 ** 32 - 2 ** 16 });
    let asked = 0;
    for (let round = 0; round < 20; round += 1) {
      while (worker.ask(parseKey(`in_port=1,tp_dst=${asked % 100}`))) asked += 1;
      while (answerer.answer(worker));
      worker.executeVerdicts();
    }
    expect(worker.outcomes).toHaveLength(asked);
    expect(worker.outcomes.every(({ kind }) => kind === 'flow')).toBe(true);
    expect(asked).toBeGreaterThan(3000);
  });

  test('that come while others are answered are seen: no doorbell rings for them', () => {
    const { worker, answerer } = setUp();
    const giveVerdicts = worker.giveVerdicts.bind(worker);
    worker.giveVerdicts = (bytes) => {
      worker.giveVerdicts = giveVerdicts;
      worker.ask(parseKey('in_port=2'));
      giveVerdicts(bytes);
    };
    worker.ask(parseKey('in_port=1'));
    expect(answerer.answer(worker)).toBe(true);
    expect(answerer.answer(worker)).toBe(false);
    expect(answerer.counts.upcalls).toBe(2);
  });

  test('are not asked about again and again when the datapath was closed and takes nothing', () => {
    const { worker, answerer } = setUp();
    worker.ask(parseKey('in_port=1'));
    worker.giveVerdicts = () => undefined;
    expect(answerer.answer(worker)).toBe(false);
  });

  test('of one worker take a turn at a time', () => {
    const { worker, answerer } = setUp({ ringBytes: 1 << 20 });
    for (let count = 0; count < recordsPerTurn + 1; count += 1) worker.ask(parseKey('in_port=1'));
    expect(answerer.answer(worker)).toBe(true);
    expect(answerer.answer(worker)).toBe(false);
    expect(answerer.counts.upcalls).toBe(recordsPerTurn + 1);
  });

  test('allocate next to nothing once flows exist', () => {
    const { worker, answerer } = setUp({ ringBytes: 1 << 17 });
    const key = parseKey('in_port=1');
    /** Bytes that a round of answers allocated; the fake worker's own are not counted. */
    const round = () => {
      while (worker.ask(key));
      const before = process.memoryUsage().heapUsed;
      while (answerer.answer(worker));
      const bytes = process.memoryUsage().heapUsed - before;
      drain(worker);
      return bytes;
    };
    for (let count = 0; count < 50; count += 1) round();
    const start = answerer.counts.upcalls;
    let bytes = 0;
    // A round during which garbage was collected tells nothing; there are few.
    while (answerer.counts.upcalls - start < 100_000) bytes += Math.max(0, round());
    // A single object for each upcall would be 16 bytes at least.
    expect(bytes / 100_000).toBeLessThan(8);
  });
});

function drain(worker: { executeVerdicts(): void; outcomes: unknown[] }): void {
  worker.executeVerdicts();
  worker.outcomes.length = 0;
}

test('latency counts from the arrival of the packet', () => {
  const { worker, answerer, time } = setUp();
  worker.ask(parseKey('in_port=1'));
  worker.upcalls[4] = 999_900_000;
  time.ms = 1000;
  answerer.answer(worker);
  expect(answerer.latency.maxUs).toBe(100);
});
