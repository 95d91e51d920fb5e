// switch/datapath.test.ts — packet in, packet out, counters and flows: through the addon, without
// privileges.

import { afterEach, describe, expect, test } from 'vitest';
import { readEvents } from '../../src/datapath/events.ts';
import { actionWord, op } from '../../src/flow/actions.ts';
import { dropReason } from '../../src/flow/drop-reasons.ts';
import { field, getNumber } from '../../src/flow/key.ts';
import { eth } from '../support/packet.ts';
import { type Decision, SmallSlowPath } from '../support/small-slow-path.ts';

const output = (port: number) => [actionWord(op.Output), port];
const outputTunnel = (tunnel: number, vni: number) => [actionWord(op.OutputTunnel), tunnel, vni, 0];

const plain = eth().ip().udp({ dst: 53 }).payload('abcdefgh').build();
const tagged = eth().vlan(10).ip().udp({ dst: 53 }).payload('abcdefgh').build();
const truncated = plain.subarray(0, 30);

let opened: SmallSlowPath[] = [];
function slowPath(ports: readonly number[], uplinks: readonly number[] = []): SmallSlowPath {
  const made = new SmallSlowPath();
  opened.push(made);
  made.addPorts(ports, uplinks);
  return made;
}
afterEach(() => {
  for (const one of opened) one.close();
  opened = [];
});

interface Row {
  readonly name: string;
  readonly input: Uint8Array;
  readonly decision: Decision;
  /** Frames that leave by port 2, for two packets at port 1. */
  readonly output: readonly Uint8Array[];
  readonly upcalls: number;
  readonly drops: Record<string, number>;
  /** Packets that the first flow counted. */
  readonly flowPackets: number;
}

const rows: readonly Row[] = [
  {
    name: 'a flow is installed by the first packet and carries the second',
    input: plain,
    decision: { flow: output(2) },
    output: [plain, plain],
    upcalls: 1,
    drops: {},
    flowPackets: 2,
  },
  {
    name: 'inline actions carry one packet, and the next one asks again',
    input: plain,
    decision: { once: output(2) },
    output: [plain, plain],
    upcalls: 2,
    drops: {},
    flowPackets: 0,
  },
  {
    name: 'a drop verdict counts under its reason',
    input: plain,
    decision: { drop: dropReason.AclDeny },
    output: [],
    upcalls: 2,
    drops: { acl_deny: 2 },
    flowPackets: 0,
  },
  {
    name: 'a drop action counts under its reason without asking twice',
    input: plain,
    decision: { flow: [actionWord(op.Drop, dropReason.NoRoute)] },
    output: [],
    upcalls: 1,
    drops: { no_route: 2 },
    flowPackets: 2,
  },
  {
    name: 'no answer is a drop with a name',
    input: plain,
    decision: 'nothing',
    output: [],
    upcalls: 2,
    drops: { no_verdict: 2 },
    flowPackets: 0,
  },
  {
    name: 'a VLAN tag is taken off by its action',
    input: tagged,
    decision: { flow: [actionWord(op.PopVlan), ...output(2)] },
    output: [plain, plain],
    upcalls: 1,
    drops: {},
    flowPackets: 2,
  },
  {
    name: 'a truncated packet never reaches the slow path',
    input: truncated,
    decision: { flow: output(2) },
    output: [],
    upcalls: 0,
    drops: { bad_ipv4: 2 },
    flowPackets: 0,
  },
  {
    name: 'an empty program is a drop with a name',
    input: plain,
    decision: { flow: [] },
    output: [],
    upcalls: 1,
    drops: { no_output: 2 },
    flowPackets: 2,
  },
];

describe('a packet that comes in twice', () => {
  test.each(rows)('$name', (row) => {
    const slow = slowPath([1, 2]);
    slow.decide = () => row.decision;
    let upcalls = 0;
    for (let i = 0; i < 2; i += 1) {
      slow.datapath.inject(1, row.input);
      upcalls += slow.settle();
    }
    const frames = slow.datapath.collect(2).map(({ frame }) => Buffer.from(frame));
    expect(frames).toEqual(row.output.map((frame) => Buffer.from(frame)));
    expect(upcalls).toBe(row.upcalls);
    expect(slow.dropsOf(1)).toEqual(row.drops);
    expect(slow.counters.flow(1).packets).toBe(row.flowPackets);
    expect(slow.counters.port(1)).toMatchObject({ rx_packets: 2, upcalls: row.upcalls });
    expect(slow.counters.port(2)).toMatchObject({ tx_packets: row.output.length });
  });
});

test.each(['vxlan', 'geneve'] as const)(
  'a frame that leaves in a %s tunnel on one host arrives unchanged on the other',
  (encap) => {
    const udpPort = encap === 'vxlan' ? 4789 : 6081;
    const host = (local: string, remote: string) => {
      const slow = slowPath([1, 2], [2]);
      slow.datapath.setEndpoints([{ address: local, vxlanPort: 4789, genevePort: 6081 }]);
      slow.datapath.setNetworks([{ vni: 100, encap }]);
      slow.datapath.setTunnel({ number: 3, encap, local, remote, udpPort });
      slow.datapath.setNextHop(3, {
        uplinkPort: 2,
        sourceMac: '02:00:00:00:00:11',
        targetMac: '02:00:00:00:00:22',
        mtu: 1500,
      });
      return slow;
    };
    const [a, b] = [host('172.31.1.1', '172.31.1.2'), host('172.31.1.2', '172.31.1.1')];
    a.decide = () => ({ flow: outputTunnel(3, 100) });
    b.decide = (upcall) => {
      expect(getNumber(upcall.words, upcall.keyBase, field.tunnel_id)).toBe(100);
      expect(getNumber(upcall.words, upcall.keyBase, field.tunnel_src)).toBe(3);
      return { flow: output(1) };
    };
    a.datapath.inject(1, plain);
    a.settle();
    for (const { frame, offload } of a.datapath.collect(2)) b.datapath.inject(2, frame, offload);
    b.settle();
    expect(b.datapath.collect(1).map(({ frame }) => Buffer.from(frame))).toEqual([
      Buffer.from(plain),
    ]);
    expect(a.datapath.listTunnels()).toMatchObject([{ number: 3, resolved: true, mtu: 1500 }]);
  },
);

test('a removed flow asks again, and its slot counts from zero', () => {
  const slow = slowPath([1, 2]);
  slow.decide = () => ({ flow: output(2) });
  slow.datapath.inject(1, plain);
  slow.settle();
  slow.removeFlow(1);
  slow.breathe();
  expect(slow.counters.flow(1)).toEqual({ packets: 0, bytes: 0, usedMs: 0 });
  slow.datapath.inject(1, plain);
  expect(slow.settle()).toBe(1);
  expect(slow.datapath.collect(2)).toHaveLength(2);
});

test('a captured packet shows its bytes, its verdict and its way out', () => {
  const slow = slowPath([1, 2]);
  slow.decide = () => ({ flow: output(2) });
  slow.datapath.inject(1, plain);
  slow.settle();
  slow.datapath.setCapture(1, true);
  slow.datapath.inject(1, plain);
  slow.breathe();
  const events = slow.memory.workers.flatMap((part, worker) =>
    readEvents(slow.datapath, worker, part).filter((event) => event.kind === 'capture'),
  );
  expect(events).toMatchObject([
    { direction: 'in', port: 1, verdict: 'forwarded', flow: 1, otherPort: 2 },
  ]);
  expect(Buffer.from(events[0]?.packet ?? [])).toEqual(Buffer.from(plain));
});

test('what was set is what is listed', () => {
  const slow = slowPath([1]);
  const member = { kind: 'port' as const, number: 1, vlan: 7, meter: 3 };
  const group = { number: 9, members: [member] };
  const tunnel = {
    number: 3,
    encap: 'geneve' as const,
    local: 'fd00::1',
    remote: 'fd00::2',
    udpPort: 6081,
  };
  const endpoints = [{ address: '10.0.0.1', vxlanPort: 4789, genevePort: 6081 }];
  slow.datapath.setGroups([group]);
  slow.datapath.setTunnel(tunnel);
  slow.datapath.setEndpoints(endpoints);
  slow.datapath.setNetworks([{ vni: 5, encap: 'vxlan' }]);
  slow.datapath.setMeter(1, { rate: 1000, burst: 2000, packets: false });
  expect(slow.datapath.listGroups()).toEqual([group]);
  expect(slow.datapath.listTunnels()).toMatchObject([{ ...tunnel, resolved: false }]);
  expect(slow.datapath.listEndpoints()).toEqual(endpoints);
  expect(slow.datapath.listNetworks()).toEqual([{ vni: 5, encap: 'vxlan' }]);
  expect(slow.datapath.listPorts()).toMatchObject([{ number: 1, kind: 'memory', uplink: false }]);
});
