// control/routes/streams.test.ts — what a slow reader loses, and how it is told.

import { describe, expect, it } from 'vitest';
import { PcapngReader } from '../../../../src/control/pcapng.ts';
import { captureStream, watchStream } from '../../../../src/control/routes/streams.ts';
import { Feed, twoPackets } from '../fake-switch.ts';

describe('a capture', () => {
  it('loses packets only, and says at its end how many', async () => {
    const stream = captureStream(twoPackets());
    const reader = new PcapngReader();
    let lost = 0;
    for await (const piece of stream.items) {
      const shed = stream.shed(piece);
      lost += shed.lost;
      expect(reader.push(shed.kept)).toEqual([]);
    }
    expect(lost).toBe(2);
    expect(reader.push(stream.lostNotice(lost))).toEqual([{ kind: 'lost', packets: 2 }]);
    expect(stream.tellsEarly).toBe(false);
  });
});

describe('a watch', () => {
  it('is one JSON object per line, with a warning where events are missing', () => {
    const stream = watchStream(new Feed());
    const event = { timeMs: 1, kind: 'port', name: 'c1', message: 'two\nlines' } as const;
    expect(Buffer.from(stream.encode(event)).toString().trimEnd()).not.toContain('\n');
    expect(stream.shed(event)).toEqual({ kept: new Uint8Array(), lost: 1 });
    const notice = JSON.parse(Buffer.from(stream.lostNotice(9)).toString());
    expect(notice).toMatchObject({ kind: 'warning', message: expect.stringContaining('9 events') });
  });
});
