// switch/cut-notice.test.ts — who is told that a connection is cut, by which packets, and how fast.

import { afterEach, expect, test, vi } from 'vitest';
import type { EntryReport } from '../../../src/datapath/events.ts';
import { formatActions } from '../../../src/flow/actions.ts';
import { parseKey } from '../../../src/flow/key-text.ts';
import {
  noticeBurst,
  noticePauseMs,
  noticesTo,
  type SentPacket,
  tellOfCut,
} from '../../../src/switch/cut-notice.ts';
import { dissect } from '../../support/packet.ts';

afterEach(() => {
  vi.useRealTimers();
});

function entry(more = '', fields: Partial<EntryReport> = {}): EntryReport {
  const key = parseKey(
    'in_port=7,eth_src=02:00:00:00:00:01,eth_dst=02:00:00:00:00:02,eth_type=ip,ip_proto=tcp,' +
      `ct_state=0x22,ip_src=10.0.0.1,ip_dst=10.0.0.2,tp_src=40000,tp_dst=80${more}`,
  );
  return {
    ...{ worker: 0, key, packets: 1, bytes: 100, flow: 1, generation: 1, decision: 1 },
    ...{ connection: 9, connectionGeneration: 1, state: 3, ageMs: 5000, idleMs: 20 },
    ...fields,
  };
}

const programOf = ({ program }: SentPacket) => formatActions(program, 0, program.length);

test('a sender here is told by its port, one elsewhere through the tunnel', () => {
  const [here] = noticesTo(entry());
  expect(programOf(here!)).toBe('output(7)');
  const [there] = noticesTo(entry(',tunnel_id=100,tunnel_src=3'));
  expect(programOf(there!)).toBe('output_tunnel(3,vni=100)');
});

test('the segments are as if from the other end, with sequence numbers half of all apart', () => {
  const sequences = noticesTo(entry()).map(({ frame }) => {
    const [ethernet, ip, tcp] = dissect(frame);
    expect(ethernet!.fields).toMatchObject({ dst: '02:00:00:00:00:01', src: '02:00:00:00:00:02' });
    expect(ip!.fields).toMatchObject({ dst: '10.0.0.1', src: '10.0.0.2' });
    expect(tcp!.fields).toMatchObject({ dst: 40000, src: 80, flags: 'A' });
    return Number(tcp!.fields.seq);
  });
  expect(sequences).toHaveLength(2);
  expect(sequences[1]! - sequences[0]!).toBe(2 ** 31);
});

test('only ends of TCP connections that are open are told', async () => {
  const sent: SentPacket[] = [];
  const send = (packet: SentPacket) => sent.push(packet) > 0;
  const udp = parseKey('in_port=7,eth_type=ip,ip_proto=udp,ip_src=10.0.0.1,ip_dst=10.0.0.2');
  await tellOfCut(
    [entry('', { key: udp }), entry('', { state: 7 }), entry('', { state: 1 })],
    send,
  );
  expect(sent).toEqual([]);
  await tellOfCut([entry(), entry('', { state: 4 })], send);
  expect(sent).toHaveLength(4);
});

test('many are told a few at a time, so that the resets are within their limit', async () => {
  vi.useFakeTimers();
  const sent: SentPacket[] = [];
  const ends = Array.from({ length: 2 * noticeBurst + 1 }, () => entry());
  const told = tellOfCut(ends, (packet) => sent.push(packet) > 0);
  expect(sent).toHaveLength(2 * noticeBurst);
  await vi.advanceTimersByTimeAsync(noticePauseMs);
  expect(sent).toHaveLength(4 * noticeBurst);
  await vi.advanceTimersByTimeAsync(noticePauseMs);
  await told;
  expect(sent).toHaveLength(4 * noticeBurst + 2);
});
