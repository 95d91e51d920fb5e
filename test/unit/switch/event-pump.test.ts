// switch/event-pump.test.ts — every event is handed on once, and its bytes go back.

import { expect, test } from 'vitest';
import type { DatapathEvent } from '../../../src/datapath/events.ts';
import { EventPump } from '../../../src/switch/event-pump.ts';
import { FakeNative } from './fake-native.ts';

test('events come in order, once, and nothing comes from a data path that has gone', () => {
  const native = new FakeNative();
  const events: DatapathEvent[] = [];
  const pump = new EventPump((event) => events.push(event));
  pump.drain();
  pump.attach(native);
  for (const port of [1, 2]) native.captured({ port, packet: new Uint8Array(60) });
  pump.drain();
  pump.drain();
  expect(events).toMatchObject([
    { kind: 'capture', port: 1 },
    { kind: 'capture', port: 2 },
  ]);
  expect(native.takeEvents()).toBe(0);
  native.captured({ port: 3, packet: new Uint8Array(60) });
  pump.attach(undefined);
  pump.drain();
  expect(events).toHaveLength(2);
});
