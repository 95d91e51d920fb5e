// switch/event-hub.test.ts — many readers, none of whom can hold up the others or the switch.

import { describe, expect, it } from 'vitest';
import { EventHub } from '../../../src/switch/event-hub.ts';

type Item = number | string;

/** A hub with queues of three that says how many items were lost. */
function makeHub() {
  return new EventHub<Item>({ queueMax: 3, lost: (count) => `${count} lost` });
}

async function rest(reader: AsyncIterable<Item>): Promise<Item[]> {
  const items: Item[] = [];
  for await (const item of reader) items.push(item);
  return items;
}

describe('an event hub', () => {
  it('gives every reader every item from its subscription on, in order', async () => {
    const hub = makeHub();
    const early = hub.subscribe();
    hub.publish(1);
    const late = hub.subscribe();
    hub.publish(2);
    hub.publish(3);
    hub.close();
    expect(await rest(early)).toEqual([1, 2, 3]);
    expect(await rest(late)).toEqual([2, 3]);
  });

  it('publishes to nobody without complaint', () => {
    const hub = makeHub();
    hub.publish(1);
    expect(hub.readers).toBe(0);
  });

  it('hands an item to a reader that waits', async () => {
    const hub = makeHub();
    const reader = hub.subscribe();
    const waiting = [reader.next(), reader.next()];
    hub.publish(1);
    hub.publish(2);
    expect(await Promise.all(waiting)).toEqual([
      { value: 1, done: false },
      { value: 2, done: false },
    ]);
  });

  it('keeps the newest for a slow reader and tells it how many it lost, once', async () => {
    const hub = makeHub();
    const slow = hub.subscribe();
    const quick = hub.subscribe();
    const seen: Item[] = [];
    for (let item = 1; item <= 5; item += 1) {
      hub.publish(item);
      const { value } = await quick.next();
      if (value !== undefined) seen.push(value);
    }
    expect(seen).toEqual([1, 2, 3, 4, 5]);
    hub.close();
    expect(await rest(slow)).toEqual(['2 lost', 3, 4, 5]);
  });

  it('loses silently where nobody wants to know', async () => {
    const hub = new EventHub<Item>({ queueMax: 1 });
    const reader = hub.subscribe();
    hub.publish(1);
    hub.publish(2);
    hub.close();
    expect(await rest(reader)).toEqual([2]);
  });

  it('return() wakes a reader that waits, and forgets it', async () => {
    const hub = makeHub();
    const reader = hub.subscribe();
    const waiting = reader.next();
    expect(hub.readers).toBe(1);
    await reader.return?.();
    expect(await waiting).toEqual({ value: undefined, done: true });
    expect(hub.readers).toBe(0);
    hub.publish(1);
    expect(await reader.next()).toEqual({ value: undefined, done: true });
  });

  it('return() throws away what waits, close() does not', async () => {
    const hub = makeHub();
    const [left, closed] = [hub.subscribe(), hub.subscribe()];
    hub.publish(1);
    await left.return?.();
    hub.close();
    expect(await rest(left)).toEqual([]);
    expect(await rest(closed)).toEqual([1]);
  });

  it('forgets a reader that breaks out of its loop', async () => {
    const hub = makeHub();
    const reader = hub.subscribe();
    hub.publish(1);
    for await (const item of reader) {
      expect(item).toBe(1);
      break;
    }
    expect(hub.readers).toBe(0);
  });
});
