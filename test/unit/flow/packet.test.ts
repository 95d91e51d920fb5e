// flow/packet.test.ts — packets, byte by byte, read into keys; and broken ones.

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { dropReasonName } from '../../../src/flow/drop-reasons.ts';
import { newKey } from '../../../src/flow/key.ts';
import { formatKey } from '../../../src/flow/key-text.ts';
import { parsePacket } from '../../../src/flow/packet.ts';

const macs = '020000000002' + '020000000001';
const ipv4 = (rest: string, proto: string, total = '0028', frag = '0000') =>
  `${macs}0800 4500${total}1234${frag}40${proto}0000 0a000001 0a000002 ${rest}`;
const ipv6 = (rest: string, next: string, payload: string, hops = '40') =>
  `${macs}86dd 60000000${payload}${next}${hops} fd000000000000000000000000000001 ` +
  `fd000000000000000000000000000002 ${rest}`;
const tcp = '1f900050 00000001 00000000 5002ffff 00000000';
const udp = '00350035 00080000';

function bytesOf(hex: string): Uint8Array {
  return Uint8Array.from(Buffer.from(hex.replaceAll(' ', ''), 'hex'));
}

function read(hex: string, verifyChecksums = false): string {
  const key = newKey();
  const reason = parsePacket(bytesOf(hex), key, 0, { verifyChecksums });
  return reason === 0 ? formatKey(key) : dropReasonName(reason);
}

const ether = (type: string) => `eth_type=0x${type},eth_dst=02:00:00:00:00:02`;
const from = 'eth_src=02:00:00:00:00:01';
const ends4 = 'ip_src=10.0.0.1,ip_dst=10.0.0.2';
const ends6 = 'ipv6_src=fd00::1,ipv6_dst=fd00::2';

describe('a packet becomes a key:', () => {
  test.each([
    ['TCP', ipv4(tcp, '06'), `${ether('0800')},ip_proto=6,${from},tp_src=8080,tp_dst=80,${ends4}`],
    [
      'UDP',
      ipv4(udp, '11', '001c'),
      `${ether('0800')},ip_proto=17,${from},tp_src=53,tp_dst=53,${ends4}`,
    ],
    [
      'ICMP echo',
      ipv4('0800000000010001', '01', '001c'),
      `${ether('0800')},ip_proto=1,${from},tp_src=8,${ends4}`,
    ],
    [
      'a first fragment',
      ipv4(tcp, '06', '0028', '2000'),
      `${ether('0800')},ip_proto=6,ip_frag=1,${from},tp_src=8080,tp_dst=80,${ends4}`,
    ],
    [
      'a later fragment',
      ipv4(tcp, '06', '0028', '0001'),
      `${ether('0800')},ip_proto=6,ip_frag=3,${from},${ends4}`,
    ],
    [
      'IPv6 TCP',
      ipv6(tcp, '06', '0014'),
      `${ether('86dd')},ip_proto=6,${from},tp_src=8080,tp_dst=80,${ends6}`,
    ],
    [
      'IPv6 behind two extension headers and a fragment header',
      ipv6(`3c00000000000000 2c00000000000000 1100000000000000 ${udp}`, '00', '0020'),
      `${ether('86dd')},ip_proto=17,${from},tp_src=53,tp_dst=53,${ends6}`,
    ],
    [
      'a later IPv6 fragment',
      ipv6('1100000800000000 01', '2c', '0009'),
      `${ether('86dd')},ip_proto=17,ip_frag=3,${from},${ends6}`,
    ],
    [
      'IPv6 without next header',
      ipv6('', '3b', '0000'),
      `${ether('86dd')},ip_proto=59,${from},${ends6}`,
    ],
    [
      'a neighbour solicitation with its option',
      ipv6(
        `87000000 00000000 fd000000000000000000000000000002 0101 020000000001`,
        '3a',
        '0020',
        'ff',
      ),
      `${ether('86dd')},ip_proto=58,${from},tp_src=135,${ends6},` +
        'nd_target=fd00::2,arp_sha=02:00:00:00:00:01',
    ],
    [
      'ARP',
      `${macs}0806 0001080006040001 020000000001 0a000001 000000000000 0a000002`,
      `${ether('0806')},ip_proto=1,${from},${ends4},arp_sha=02:00:00:00:00:01`,
    ],
    [
      'two VLAN tags',
      `${macs}88a8 e064 8100 0005 88b5`,
      `eth_type=0x88b5,vlan_tci=0x1064,vlan_tci2=0x1005,eth_dst=02:00:00:00:00:02,${from}`,
    ],
    ['802.3', `${macs}0003 424203`, `${ether('05ff')},${from}`],
    ['an unknown EtherType', `${macs}88b5`, `${ether('88b5')},${from}`],
  ])('%s', (_, hex, key) => {
    expect(read(hex)).toBe(key);
  });
});

describe('a broken packet has its drop reason:', () => {
  test.each([
    ['short Ethernet header', '020000000002020000000001', 'too_short'],
    ['three tags', `${macs}8100 0001 8100 0002 8100 0003 0800`, 'bad_vlan'],
    ['cut tag', `${macs}8100 00`, 'bad_vlan'],
    ['cut ARP', `${macs}0806 00010800`, 'bad_arp'],
    ['ARP of another hardware', `${macs}0806 0006080006040001${'00'.repeat(20)}`, 'bad_arp'],
    ['IPv4 longer than the frame', ipv4(tcp, '06', '0029'), 'bad_ipv4'],
    ['IPv4 header of 16 bytes', ipv4(tcp, '06').replace('4500', '4400'), 'bad_ipv4'],
    ['cut IPv4', `${macs}0800 4500`, 'bad_ipv4'],
    ['IPv6 longer than the frame', ipv6(tcp, '06', '0015'), 'bad_ipv6'],
    ['cut extension header', ipv6('0600', '00', '0002'), 'bad_ipv6_extension'],
    [
      'late hop-by-hop header',
      ipv6(`0000000000000000 3b00000000000000`, '3c', '0010'),
      'bad_ipv6_extension',
    ],
    ['cut TCP', ipv4(tcp, '06', '0024'), 'bad_l4'],
    ['UDP longer than the packet', ipv4('0035003500090000', '11', '001c'), 'bad_l4'],
    [
      'ND that was forwarded',
      ipv6(`87000000 00000000 ${'00'.repeat(16)}`, '3a', '0018', 'fe'),
      'bad_l4',
    ],
    [
      'ND option of length 0',
      ipv6(`87000000 00000000 ${'00'.repeat(16)} 0100000000000000`, '3a', '0020', 'ff'),
      'bad_l4',
    ],
  ])('%s', (_, hex, reason) => {
    expect(read(hex)).toBe(reason);
  });

  test('a wrong IPv4 checksum, where it is asked for', () => {
    expect(read(ipv4(tcp, '06'), true)).toBe('bad_ipv4_checksum');
    expect(read(ipv4(tcp, '06').replace('06' + '0000', '06' + '549a'), true)).toContain(
      'tp_dst=80',
    );
  });
});

test('no bytes make the parser throw or touch another key', () => {
  const starts = [
    '',
    `${macs}0800`,
    `${macs}86dd6`,
    `${macs}0806`,
    `${macs}8100 0001 86dd`,
    ipv6('', '00', '0010'),
  ];
  fc.assert(
    fc.property(fc.constantFrom(...starts), fc.uint8Array({ maxLength: 120 }), (start, rest) => {
      const frame = Uint8Array.from([...bytesOf(start), ...rest]);
      const words = new Uint32Array(28 * 3);
      expect(parsePacket(frame, words, 28)).toBeGreaterThanOrEqual(0);
      expect(words.subarray(0, 28).every((word) => word === 0)).toBe(true);
      expect(words.subarray(56).every((word) => word === 0)).toBe(true);
    }),
  );
});
