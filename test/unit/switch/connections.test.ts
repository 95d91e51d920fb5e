// switch/connections.test.ts — two entries are one connection, seen from who began it.

import { describe, expect, it } from 'vitest';
import type { EntryReport } from '../../../src/datapath/events.ts';
import { parseKey } from '../../../src/flow/key-text.ts';
import { connectionView, isKept, pairEntries } from '../../../src/switch/connections.ts';
import type { Names } from '../../../src/switch/names.ts';

const names: Names = {
  portName: (number) => (number === 1 ? 'c1' : undefined),
  portNumber: () => undefined,
  tunnelName: () => undefined,
  groupName: () => undefined,
};

function entry(reply: boolean, fields: Partial<EntryReport> = {}): EntryReport {
  const [from, to] = reply ? ['10.0.0.2', '10.0.0.1'] : ['10.0.0.1', '10.0.0.2'];
  const ports = reply ? 'tp_src=80,tp_dst=4000' : 'tp_src=4000,tp_dst=80';
  const state = reply ? '0x2a' : '0x22';
  const key = parseKey(
    `in_port=${reply ? 2 : 1},eth_type=ip,ip_proto=tcp,ct_state=${state},` +
      `ip_src=${from},ip_dst=${to},${ports}`,
  );
  return {
    ...{ worker: 0, key, packets: reply ? 3 : 5, bytes: 100, flow: reply ? 8 : 7, generation: 1 },
    ...{ decision: 1, connection: 9, connectionGeneration: 1, state: 3, ageMs: 5000, idleMs: 20 },
    ...fields,
  };
}

describe('entries', () => {
  it('of both directions are one connection, its originator first', () => {
    const pairs = pairEntries([entry(true), entry(false), entry(false, { connection: 0 })]);
    expect(pairs.map((pair) => pair.length)).toEqual([2, 1]);
    expect(connectionView(pairs[0]!, names)).toEqual({
      ...{ protocol: 'tcp', source: '10.0.0.1:4000', destination: '10.0.0.2:80', port: 'c1' },
      ...{ state: 'established', kept: false, packets: 5, bytes: 100, replyPackets: 3 },
      ...{ replyBytes: 100, ageSeconds: 5, idleSeconds: 0.02, flows: [7, 8] },
    });
  });

  it('of a reply alone still tell who began', () => {
    const [pair] = pairEntries([entry(true)]);
    expect(connectionView(pair!, names)).toMatchObject({
      ...{ source: '10.0.0.1:4000', destination: '10.0.0.2:80', port: '' },
      ...{ packets: 0, replyPackets: 3 },
    });
  });

  it('tell whether the operator keeps them', () => {
    expect(isKept(entry(false))).toBe(false);
    const kept = entry(false);
    kept.key[7] = kept.key[7]! | (0x40 << 16);
    expect(isKept(kept)).toBe(true);
  });
});
