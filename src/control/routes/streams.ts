// control/routes/streams.ts — what goes on as long as the reader stays: captures and events.
//
// Encodings, and what is given up when the reader is too slow: packets of a capture, never its
// interface descriptions; events of a watch.

import { Buffer } from 'node:buffer';
import { lostPackets, withoutPackets } from '../pcapng.ts';
import type { Stream, StreamRoute } from '../route.ts';
import { captureQuerySchema, watchEventSchema } from '../schemas.ts';
import type { CaptureRequest, WatchEvent } from '../switch-api.ts';

const nothing = new Uint8Array();
const msPerSecond = 1000;
const nsPerMs = 1_000_000n;

function line(event: WatchEvent): Uint8Array {
  return Buffer.from(`${JSON.stringify(event)}\n`);
}

export function captureStream(
  items: AsyncIterable<Uint8Array>,
  { seconds }: CaptureRequest = {},
): Stream<Uint8Array> {
  return {
    items,
    endsAfterMs: seconds === undefined ? undefined : seconds * msPerSecond,
    encode: (piece) => piece,
    shed(piece) {
      const { kept, packets } = withoutPackets(piece);
      return { kept, lost: packets };
    },
    lostNotice: (lost) => lostPackets(lost, BigInt(Date.now()) * nsPerMs),
    tellsEarly: false,
  };
}

export function watchStream(items: AsyncIterable<WatchEvent>): Stream<WatchEvent> {
  return {
    items,
    encode: line,
    shed: () => ({ kept: nothing, lost: 1 }),
    lostNotice: (lost) => {
      const message = `${lost} events are missing here: the reader was too slow`;
      return line({ timeMs: Date.now(), kind: 'warning', name: 'watch', message });
    },
    tellsEarly: true,
  };
}

export const streamRoutes: readonly StreamRoute[] = [
  {
    method: 'GET',
    path: '/v1/capture',
    name: 'capturePackets',
    description: 'Packets as pcapng, each with its verdict as a comment, until count or seconds.',
    query: captureQuerySchema,
    answer: { type: 'application/x-pcapng', description: 'A capture, as it grows.' },
    streamFor(api, asked) {
      const query = asked.query as CaptureRequest;
      return captureStream(api.capture(query), query) as Stream<unknown>;
    },
  },
  {
    method: 'GET',
    path: '/v1/watch',
    name: 'watchEvents',
    description: 'Events from now on, one JSON object per line.',
    answer: {
      type: 'application/x-ndjson',
      description: 'Events, one per line.',
      schema: watchEventSchema,
    },
    streamFor: (api) => watchStream(api.watch()) as Stream<unknown>,
  },
];
