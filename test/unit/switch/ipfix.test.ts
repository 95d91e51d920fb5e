// switch/ipfix.test.ts — flow records as tshark reads them.

import { describe, expect, it } from 'vitest';
import type { FlowRecord } from '../../../src/switch/flow-records.ts';
import { IpfixEncoder, ipfixBytesMax } from '../../../src/switch/ipfix.ts';
import { eth } from '../../support/packet.ts';
import { lack } from '../../support/requires.ts';
import { expectNoExpertErrors, tsharkFields } from '../../support/tshark.ts';

const record: FlowRecord = {
  startMs: Date.UTC(2026, 0, 2, 3, 4, 5, 250),
  endMs: Date.UTC(2026, 0, 2, 3, 5, 5),
  packets: 12,
  bytes: 5_000_000_000,
  verdict: 'allowed',
  reason: '',
  rule: 'group app/ingress tcp 8080 from group web',
  origin: 'security group app',
  path: 'securityGroups[app].rules[0]',
  revision: 3,
  port: 'c1',
  portNumber: 4,
  vni: 100,
  family: 4,
  protocol: 6,
  source: '10.0.0.1',
  destination: '10.0.0.2',
  sourcePort: 40_000,
  destinationPort: 8080,
  reply: false,
  endReason: 'idle',
};
const six = { ...record, family: 6 as const, source: 'fd00::1', destination: 'fd00::2' };
const denied = { ...record, verdict: 'denied' as const, reason: 'acl_deny', bytes: 74 };

/** The messages as packets to a collector. */
function packets(messages: readonly Uint8Array[]): Uint8Array[] {
  return messages.map((message) => {
    const frame = eth().ip({ src: '192.0.2.1', dst: '192.0.2.2' });
    return frame.udp({ src: 50_000, dst: 4739 }).payload(message).build();
  });
}

const names = [
  'cflow.version',
  'cflow.sequence',
  'cflow.od_id',
  'cflow.srcaddr',
  'cflow.dstaddr',
  'cflow.srcaddrv6',
  'cflow.srcport',
  'cflow.dstport',
  'cflow.protocol',
  'cflow.octets',
  'cflow.packets',
  'cflow.flow_end_reason',
  'cflow.firewall_event',
  'cflow.forwarding_status',
  'cflow.if_name',
  'cflow.selector_name',
] as const;

describe('IPFIX messages', () => {
  it.skipIf(lack('command:tshark'))('are read by tshark, without a complaint', async () => {
    const encoder = new IpfixEncoder({ domain: 7 });
    const first = encoder.messages([record, six, denied], true, Date.UTC(2026, 0, 2));
    const active = { ...record, endReason: 'active' } as const;
    const second = encoder.messages([active], false, Date.UTC(2026, 0, 2));
    const frames = packets([...first, ...second]);
    const options = { decodeAs: ['udp.port==4739,cflow'] };
    const [one, two, ...others] = await tsharkFields(frames, [...names], options);
    expect(others).toEqual([]);
    expect(one).toMatchObject({
      'cflow.version': ['10'],
      'cflow.sequence': ['0'],
      'cflow.od_id': ['7'],
      'cflow.srcaddr': ['10.0.0.1', '10.0.0.1'],
      'cflow.dstaddr': ['10.0.0.2', '10.0.0.2'],
      'cflow.srcaddrv6': ['fd00::1'],
      'cflow.srcport': ['40000', '40000', '40000'],
      'cflow.dstport': ['8080', '8080', '8080'],
      'cflow.protocol': ['6', '6', '6'],
      'cflow.octets': ['5000000000', '74', '5000000000'],
      'cflow.packets': ['12', '12', '12'],
      'cflow.flow_end_reason': ['1', '1', '1'],
      'cflow.firewall_event': ['2', '3', '2'],
      'cflow.if_name': ['c1', 'c1', 'c1'],
      'cflow.selector_name': [record.rule, record.rule, record.rule],
    });
    expect(two).toMatchObject({
      'cflow.sequence': ['3'],
      'cflow.flow_end_reason': ['2'],
      'cflow.firewall_event': ['5'],
    });
    await expectNoExpertErrors(frames, options);
  });

  it('fit a datagram, however many records there are and however long their names', () => {
    const encoder = new IpfixEncoder({ domain: 1 });
    const long = { ...record, rule: 'é'.repeat(400), port: 'x'.repeat(300) };
    const many = Array.from({ length: 50 }, (_, index) => (index % 3 === 0 ? six : long));
    const messages = encoder.messages(many, true, 0);
    expect(messages.length).toBeGreaterThan(10);
    for (const message of messages) {
      expect(message.length).toBeLessThanOrEqual(ipfixBytesMax);
      expect(message.readUInt16BE(2)).toBe(message.length);
    }
  });

  it('leave out what is no IP, and are none when nothing is left', () => {
    const encoder = new IpfixEncoder({ domain: 1 });
    const frame = { ...record, family: 0 as const, source: '02:00:00:00:00:01' };
    expect(encoder.messages([frame], false, 0)).toEqual([]);
  });
});
