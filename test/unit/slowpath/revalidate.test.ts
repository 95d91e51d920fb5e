// slowpath/revalidate.test.ts — kept, replaced, removed, expired; and never longer than allowed.

import { describe, expect, test } from 'vitest';
import { action } from '../../../src/flow/actions.ts';
import { ethType, newKey } from '../../../src/flow/key.ts';
import { parseKey } from '../../../src/flow/key-text.ts';
import { prefixMask, tryParseIpOrCidr } from '../../../src/lib/addresses.ts';
import { Match, makeRule } from '../../../src/pipeline/match.ts';
import { Pipeline } from '../../../src/pipeline/pipeline.ts';
import type { Rule } from '../../../src/pipeline/rule.ts';
import { Translation, translate } from '../../../src/pipeline/translate.ts';
import { FlowChanges } from '../../../src/slowpath/flow-changes.ts';
import { FlowStore } from '../../../src/slowpath/flow-store.ts';
import { idleFullMs, idleMs, idleTimeout, Revalidator } from '../../../src/slowpath/revalidate.ts';
import { FakeDatapath } from './fake-datapath.ts';

function rule(inPort: number, to: number, match = new Match().number('in_port', inPort)): Rule {
  return makeRule('classify', {
    id: `${inPort}`,
    priority: to,
    match,
    steps: [{ kind: 'actions', words: action.output(to) }, { kind: 'done' }],
    origin: { object: 'test', path: '' },
  });
}

function setUp(count: number, flows = 2 * count + 2) {
  const datapath = new FakeDatapath({ flows });
  const store = new FlowStore(datapath.flows);
  const changes = new FlowChanges(datapath, store);
  const rules = Array.from({ length: count }, (_, index) => rule(index + 1, 7));
  const pipeline = new Pipeline(rules);
  const time = { ms: 100_000, perRead: 0, reads: 0 };
  const nowMs = () => {
    time.reads += 1;
    time.ms += time.perRead;
    return time.ms;
  };
  const revalidator = new Revalidator({ pipeline, store, changes, nowMs });
  const out = new Translation();
  const key = newKey();
  for (let port = 1; port <= count; port += 1) {
    key[0] = port;
    translate(pipeline, key, 0, out);
    store.add(out, time.ms);
  }
  return { datapath, store, changes, rules, pipeline, time, revalidator };
}

describe('after a change of rules', () => {
  test('flows that would come out the same stay', () => {
    const { revalidator, store } = setUp(3);
    revalidator.request();
    expect(revalidator.behind).toBe(true);
    revalidator.finish();
    expect(revalidator.behind).toBe(false);
    expect(revalidator.counts).toMatchObject({ kept: 3, replaced: 0, removed: 0 });
    expect(store.size).toBe(3);
  });

  test('a flow with other actions gets a successor', () => {
    const { revalidator, pipeline, rules, store, changes, datapath } = setUp(2);
    pipeline.apply({ removed: [rules[0]!], added: [rule(1, 8)] });
    revalidator.request();
    revalidator.finish();
    expect(revalidator.counts).toMatchObject({ replaced: 1, removed: 0 });
    expect(store.size).toBe(2);
    changes.pump();
    datapath.obey();
    changes.pump();
    expect(datapath.workers[0]!.flows.map(({ actions }) => actions[1])).toEqual([8]);
  });

  test('a flow that was too wide goes without one: what was in its wild bits is not known', () => {
    const { revalidator, pipeline, rules, store } = setUp(2);
    const narrow = new Match().number('in_port', 1).number('tp_dst', 80);
    pipeline.apply({ removed: [rules[0]!], added: [rule(1, 8, narrow)] });
    revalidator.request();
    revalidator.finish();
    expect(revalidator.counts).toMatchObject({ replaced: 0, removed: 1 });
    expect(store.size).toBe(1);
  });

  test('a flow without room for its successor goes', () => {
    const { revalidator, pipeline, rules, store } = setUp(3, 4);
    pipeline.apply({ removed: [rules[0]!], added: [rule(1, 8)] });
    revalidator.request();
    revalidator.finish();
    expect([revalidator.counts.removed, store.size]).toEqual([1, 2]);
  });

  test('only flows from or to an address that changed are looked at, when only that did', () => {
    const { revalidator } = setUp(50);
    revalidator.requestMac(Uint8Array.of(2, 0, 0, 0, 0, 1));
    revalidator.finish();
    expect(revalidator.counts.kept).toBe(0);
    revalidator.requestMac(new Uint8Array(6));
    revalidator.finish();
    expect(revalidator.counts.kept).toBe(50);
  });
});

describe('a prefix that changed', () => {
  const cidr = (text: string) => tryParseIpOrCidr(text)!;
  /** Flows that look at source addresses: all of one, a part of one, and none. */
  function addressFlows() {
    const { revalidator, pipeline, store, ...rest } = setUp(1, 16);
    const from = (prefix: number) =>
      rule(
        20 + prefix,
        prefix + 1,
        new Match()
          .number('in_port', 20 + prefix)
          .number('eth_type', ethType.ipv4)
          .bytes('ip_src', Uint8Array.of(10, 0, 0, 0), prefixMask(prefix, 4)),
      );
    pipeline.apply({ removed: [], added: [from(32), from(8), from(0)] });
    const out = new Translation();
    for (const prefix of [32, 8, 0]) {
      const key = parseKey(`in_port=${20 + prefix},eth_type=ip,ip_src=10.0.0.0`);
      translate(pipeline, key, 0, out);
      store.add(out, rest.time.ms);
    }
    return { revalidator, store };
  }

  test.each([
    ['10.0.0.0', 2],
    ['10.0.0.1', 1],
    ['10.0.0.0/30', 2],
    ['0.0.0.0/0', 2],
    ['11.0.0.0/8', 0],
    ['fd00::1', 0],
  ])('%s concerns flows that look at an address of it', (text, concerned) => {
    const { revalidator } = addressFlows();
    revalidator.requestPrefix(cidr(text));
    expect(revalidator.behind).toBe(true);
    revalidator.finish();
    expect(revalidator.counts.kept).toBe(concerned);
    expect(revalidator.behind).toBe(false);
  });

  test('is not told apart among too many', () => {
    const { revalidator, store } = addressFlows();
    for (let last = 0; last < 100; last += 1) revalidator.requestPrefix(cidr(`11.0.0.${last}`));
    revalidator.finish();
    expect(revalidator.counts.kept).toBe(store.size);
  });
});

describe('idle flows', () => {
  test('expire after ten seconds without a packet', () => {
    const { revalidator, store, datapath, time } = setUp(2, 32);
    time.ms += idleMs - 1;
    revalidator.finish();
    expect(store.size).toBe(2);
    datapath.flows.used[1] = time.ms;
    time.ms += 1001;
    revalidator.finish();
    expect([store.size, store.isLinked(1)]).toEqual([1, true]);
    expect(revalidator.counts.expired).toBe(1);
  });

  test('expire the sooner the fuller the table is', () => {
    expect(idleTimeout(0)).toBe(idleMs);
    expect(idleTimeout(0.8)).toBe(idleMs);
    expect(idleTimeout(0.9)).toBeLessThan(idleMs);
    expect(idleTimeout(1)).toBe(idleFullMs);
    const { revalidator, store, time } = setUp(9, 10);
    time.ms += 1001;
    revalidator.finish();
    expect(store.size).toBe(0);
  });
});

describe('a slice', () => {
  test('ends when its time is up, and the next one goes on there', () => {
    const { revalidator, time } = setUp(320);
    revalidator.request();
    time.perRead = 1;
    let slices = 0;
    while (!revalidator.tick(2)) {
      slices += 1;
      expect(revalidator.counts.kept).toBeLessThanOrEqual(slices * 3 * 32);
    }
    expect(slices).toBeGreaterThan(2);
    expect(revalidator.counts.kept).toBe(320);
    expect(revalidator.behind).toBe(false);
  });

  test('with nothing to do reads the clock and no flow', () => {
    const { revalidator, time } = setUp(320);
    time.reads = 0;
    expect(revalidator.tick(5)).toBe(true);
    expect(time.reads).toBe(1);
    expect(revalidator.counts.kept).toBe(0);
  });

  test('comes by itself now and then, without a change', () => {
    const { revalidator, datapath, time } = setUp(5);
    for (let second = 0; second < 11; second += 1) {
      time.ms += 1000;
      datapath.flows.used.fill(time.ms);
      revalidator.tick(5);
    }
    expect(revalidator.counts.kept).toBe(5);
  });
});
