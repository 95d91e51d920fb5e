// slowpath/flow-store.test.ts — slots: what is in them, which are free, who takes them over.

import { describe, expect, test } from 'vitest';
import { flowKeyWords } from '../../../src/flow/key.ts';
import { parseKey } from '../../../src/flow/key-text.ts';
import { Translation, translate } from '../../../src/pipeline/translate.ts';
import {
  flowFree,
  flowLive,
  flowSlotWords,
  flowWord,
} from '../../../src/slowpath/datapath-port.ts';
import { FlowStore } from '../../../src/slowpath/flow-store.ts';
import { example, TestNetwork } from '../rules/network.ts';
import { FakeFlowMemory } from './fake-datapath.ts';

const network = new TestNetwork(example('two-hosts.yaml'), 'h1');
const blue = (rest: string) => {
  const out = new Translation();
  const text = `in_port=blue1,eth_src=02:00:00:00:01:01,eth_type=ip,ip_src=10.0.0.1,${rest}`;
  translate(network.pipeline, network.key(text), 0, out);
  return out;
};
const remote = () => blue('eth_dst=02:00:00:00:01:02,tp_dst=80');
const nowMs = 5_000_000_000;

describe('a slot', () => {
  test('holds masked key, mask, actions, decision and time, and is live last', () => {
    const memory = new FakeFlowMemory(8);
    const store = new FlowStore(memory);
    const verdict = remote();
    const slot = store.add(verdict, nowMs);
    const words = memory.slots.slice(slot * flowSlotWords, (slot + 1) * flowSlotWords);
    expect([slot, words[flowWord.state], words[flowWord.generation]]).toEqual([1, flowLive, 1]);
    expect(words[flowWord.actionWords]).toBe(12);
    expect(words[flowWord.decision]).toBe(verdict.decision);
    expect(store.createdMs(slot)).toBe(nowMs);
    expect(words.subarray(flowWord.mask, flowWord.mask + flowKeyWords)).toEqual(
      verdict.mask.slice(0, flowKeyWords),
    );
    const tp = parseKey('tp_dst=80').findIndex((word) => word !== 0);
    expect(words[flowWord.key + tp]).toBe(0);
    expect(store.agrees(slot, verdict)).toBe(true);
    expect(store.covers(slot, verdict)).toBe(true);
    expect(store.agrees(slot, blue('eth_dst=02:00:00:00:01:01'))).toBe(false);
  });

  test('is found by any packet of its flow, and by no other', () => {
    const store = new FlowStore(new FakeFlowMemory(8));
    const slot = store.add(remote(), nowMs);
    expect(store.find(blue('eth_dst=02:00:00:00:01:02,tp_dst=443'))).toBe(slot);
    expect(store.find(blue('eth_dst=02:00:00:00:02:02'))).toBe(0);
  });

  test('gets a new generation each time it is used, and is in use until it is freed', () => {
    const memory = new FakeFlowMemory(3);
    const store = new FlowStore(memory);
    const slot = store.add(remote(), nowMs);
    store.add(blue('eth_dst=ff:ff:ff:ff:ff:ff'), nowMs);
    expect(store.add(blue('eth_dst=02:00:00:00:01:01'), nowMs)).toBe(0);
    store.unlink(slot);
    expect(store.find(remote())).toBe(0);
    expect(store.add(remote(), nowMs)).toBe(0);
    expect(memory.slots[slot * flowSlotWords]).toBe(flowLive);
    store.free(slot);
    expect(memory.slots[slot * flowSlotWords]).toBe(flowFree);
    expect(store.add(remote(), nowMs)).toBe(slot);
    expect(store.generation(slot)).toBe(2);
    expect(() => store.free(slot)).toThrow(/not leaving/);
  });

  test('was last used when it was made, until a packet says otherwise', () => {
    const memory = new FakeFlowMemory(3);
    const store = new FlowStore(memory);
    const slot = store.add(remote(), nowMs);
    expect(store.usedMs(slot)).toBe(nowMs);
    memory.used[slot] = nowMs + 5;
    expect(store.usedMs(slot)).toBe(nowMs + 5);
  });
});

test('a new store finds the live slots and goes on behind their generations', () => {
  const memory = new FakeFlowMemory(8);
  const old = new FlowStore(memory);
  const gone = old.add(remote(), nowMs);
  const kept = old.add(blue('eth_dst=ff:ff:ff:ff:ff:ff'), nowMs);
  old.unlink(gone);
  old.free(gone);
  const store = new FlowStore(memory);
  expect([store.size, store.capacity, store.highest]).toEqual([1, 7, kept]);
  expect(store.find(blue('eth_dst=33:33:00:00:00:01'))).toBe(0);
  expect(store.isLinked(kept)).toBe(true);
  expect(store.add(remote(), nowMs)).toBe(gone);
  expect(store.generation(gone)).toBe(2);
});

test('a port has twice as many flows as there are free slots, and leaves room to another', () => {
  const store = new FlowStore(new FakeFlowMemory(901));
  let number = 0;
  const fill = (port: number): number => {
    for (let count = 0; ; count += 1) {
      const out = remote();
      out.mask.fill(0xffffffff);
      out.key[0] = port;
      out.key[10] = number++;
      const slot = store.add(out, nowMs);
      if (slot === 0) return count;
      last = slot;
    }
  };
  let last = 0;
  expect(fill(1)).toBe(600);
  expect(store.crowding(last)).toBe(1);
  expect(fill(2)).toBe(200);
  store.unlink(last);
  store.free(last);
  expect(store.crowding(1)).toBe(1);
  expect([fill(1), fill(2)]).toEqual([0, 1]);
});

test('thousands of flows come and go through the chains', () => {
  const store = new FlowStore(new FakeFlowMemory(4096));
  const verdict = (number: number) => {
    const out = remote();
    out.mask.fill(0xffffffff);
    out.key[0] = number % 64;
    out.key[10] = number;
    return out;
  };
  const slots = Array.from({ length: 4000 }, (_, index) => store.add(verdict(index), nowMs));
  for (const [index, slot] of slots.entries()) if (index % 3 === 0) store.unlink(slot);
  for (const [index, slot] of slots.entries()) {
    expect(store.find(verdict(index))).toBe(index % 3 === 0 ? 0 : slot);
  }
});
