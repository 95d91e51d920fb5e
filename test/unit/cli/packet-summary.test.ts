// cli/packet-summary.test.ts — one line per packet, also for packets that are cut or nested.

import { describe, expect, it } from 'vitest';
import { renderSummary, summarize } from '../../../src/cli/packet-summary.ts';
import { captureTimeNs, udpFrame } from '../control/fake-switch.ts';

function summary(bytes: Uint8Array): string {
  return summarize({ interfaceName: 'p', timeNs: 0n, bytes }).summary;
}

const macs = Buffer.from('020000000102020000000101', 'hex');
const ends = '02:00:00:00:01:01 > 02:00:00:00:01:02';
const ip6 = 'fd000000000000000000000000000001 fd000000000000000000000000000002';
const frame = (hex: string) => Buffer.concat([macs, Buffer.from(hex.replace(/ /g, ''), 'hex')]);

describe('a summary', () => {
  it.each([
    [
      '0806 0001 0800 06 04 0001 020000000101 0a000001 000000000000 0a000002',
      'arp who-has 10.0.0.2 tell 10.0.0.1',
    ],
    [
      '0806 0001 0800 06 04 0002 020000000101 0a000001 020000000102 0a000002',
      'arp 10.0.0.1 is-at 02:00:00:00:01:01',
    ],
    [
      '8100 0064 0800 4500001c 00000000 40010000 0a000001 0a000002 0800',
      'vlan 100 10.0.0.1 > 10.0.0.2 icmp type 8',
    ],
    [
      '0800 45000028 00000000 40060000 0a000001 0a000002 03e80050 0000000000000000 5012',
      '10.0.0.1:1000 > 10.0.0.2:80 tcp syn,ack',
    ],
    [
      '0800 4500001c 000000b9 40110000 0a000001 0a000002 61626364',
      '10.0.0.1 > 10.0.0.2 fragment at 1480',
    ],
    [`86dd 60000000 0008 3a ff ${ip6} 8700`, 'fd00::1 > fd00::2 icmpv6 type 135'],
    [`86dd 60000000 0008 11 ff ${ip6} 00010002`, '[fd00::1]:1 > [fd00::2]:2 udp'],
    ['88cc 0000', 'type 0x88cc'],
    ['0800 4500', 'type 0x0800'],
  ])('of %s', (hex, text) => expect(summary(frame(hex))).toBe(`${ends} ${text}`));

  it('looks into tunnels', () => {
    const inner = udpFrame.toString('hex');
    const ip = '0800 45000000 00000000 40110000 c0000201 c0000202';
    const vxlan = frame(`${ip} d431 12b5 0000 0000 08000000 000064 00 ${inner}`);
    expect(summary(vxlan)).toBe(
      `${ends} 192.0.2.1:54321 > 192.0.2.2:4789 udp vxlan 100 | ` +
        `${ends} 10.0.0.1:1000 > 10.0.0.2:53 udp`,
    );
    const geneve = frame(`${ip} d431 17c1 0000 0000 0100 6558 000064 00 00000000 ${inner}`);
    expect(summary(geneve)).toContain(`geneve 100 | ${ends} 10.0.0.1:1000`);
  });

  it('survives every cut of a packet', () => {
    const ip = '0800 45000000 00000000 40110000 c0000201 c0000202';
    const whole = frame(`${ip} d431 12b5 0000 0000 08000000 000064 00 ${udpFrame.toString('hex')}`);
    for (let length = 0; length <= whole.length; length += 1) {
      expect(summary(whole.subarray(0, length))).toEqual(expect.any(String));
    }
  });

  it('is a line with time, interface, length and verdict', () => {
    const packet = {
      interfaceName: 'c1',
      timeNs: captureTimeNs,
      bytes: udpFrame,
      comment: 'to c2',
    };
    expect(renderSummary(summarize(packet))).toBe(
      `03:04:05.123456  c1  46 B  ${ends} 10.0.0.1:1000 > 10.0.0.2:53 udp  [to c2]\n`,
    );
  });
});
