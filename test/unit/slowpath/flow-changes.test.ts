// slowpath/flow-changes.test.ts — no slot is free before every worker is done.

import { beforeEach, describe, expect, test } from 'vitest';
import { newKey } from '../../../src/flow/key.ts';
import { Pipeline } from '../../../src/pipeline/pipeline.ts';
import { Translation, translate } from '../../../src/pipeline/translate.ts';
import { commandKind, reached } from '../../../src/slowpath/datapath-port.ts';
import { FlowChanges } from '../../../src/slowpath/flow-changes.ts';
import { FlowStore } from '../../../src/slowpath/flow-store.ts';
import { FakeDatapath } from './fake-datapath.ts';

let datapath: FakeDatapath;
let store: FlowStore;
let changes: FlowChanges;

function flow(number: number): number {
  const verdict = new Translation();
  translate(new Pipeline(), newKey(), 0, verdict);
  verdict.mask[0] = 0xffffffff;
  verdict.key[0] = number;
  return store.add(verdict, 1);
}

beforeEach(() => {
  datapath = new FakeDatapath({ workers: 2, flows: 64, start: 2 ** 32 - 320 });
  store = new FlowStore(datapath.flows);
  changes = new FlowChanges(datapath, store);
});

describe('a retired flow', () => {
  test('is free when the last worker has removed it', () => {
    const slot = flow(1);
    const fill = store.fill;
    changes.retire(slot);
    changes.pump();
    expect(changes.pending).toBe(1);
    datapath.workers[0]!.doCommands();
    changes.pump();
    expect(store.fill).toBe(fill);
    datapath.workers[1]!.doCommands();
    changes.pump();
    expect(store.fill).toBe(0);
    expect(changes.pending).toBe(0);
  });

  test('waits for verdicts that may still name it', () => {
    const [worker] = datapath.workers;
    const slot = flow(1);
    worker!.ask(newKey());
    worker!.giveVerdicts(worker!.takeUpcalls());
    changes.retire(slot);
    changes.pump();
    expect(worker!.sent).toEqual([]);
    worker!.executeVerdicts();
    changes.pump();
    expect(worker!.sent).toEqual([[commandKind.RemoveFlow, slot]]);
  });

  test('goes after its successor is there, in one hand-over', () => {
    const [slot, successor] = [flow(1), flow(2)];
    changes.retire(slot, successor);
    changes.pump();
    for (const worker of datapath.workers) {
      expect(worker.sent).toEqual([
        [commandKind.InstallFlow, successor],
        [commandKind.RemoveFlow, slot],
      ]);
    }
  });

  test('takes no successor with it that is retired meanwhile', () => {
    const [worker] = datapath.workers;
    const [slot, successor] = [flow(1), flow(2)];
    worker!.commandCapacity = 0;
    changes.retire(slot, successor);
    changes.pump();
    changes.retire(successor);
    worker!.commandCapacity = 1024;
    changes.pump();
    expect(worker!.sent).toEqual([
      [commandKind.RemoveFlow, slot],
      [commandKind.RemoveFlow, successor],
    ]);
  });
});

test('a full command ring takes the rest later', () => {
  const slots = Array.from({ length: 30 }, (_, index) => flow(index));
  for (const worker of datapath.workers) worker.commandCapacity = 6;
  for (const slot of slots) changes.retire(slot);
  for (let round = 0; round < 40 && changes.pending > 0; round += 1) {
    changes.pump();
    datapath.obey();
  }
  changes.pump();
  expect(changes.pending).toBe(0);
  expect(store.fill).toBe(0);
});

test('cursors are compared across their wrap', () => {
  expect(reached(10, 2 ** 32 - 10)).toBe(true);
  expect(reached(2 ** 32 - 10, 10)).toBe(false);
  expect(reached(5, 5)).toBe(true);
});
