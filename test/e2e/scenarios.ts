// e2e/scenarios.ts — what must work between real network stacks, whatever carries the frames.
//
// One list of scenarios, run once per kind of port (as one suite serves every datapath of Open
// vSwitch): the files *.test.ts beside this one only name the kind. Offloads stay as the kernel
// sets them.

import { expect, it } from 'vitest';
import type { Lab } from '../support/netns.ts';
import { useLab } from '../support/netns.ts';
import { describeWith, type Need } from '../support/requires.ts';
import { adoptTap, type TwoHosts, twoHosts, type Underlay } from '../support/topology.ts';
import { datagrams, ping, transfer } from '../support/traffic.ts';
import { type Kind, startBoth, type Vtepd } from '../support/vtepd.ts';

export interface PortKind extends Kind {
  readonly name: string;
  readonly attach: 'veth' | 'tap';
  readonly needs: readonly Need[];
}

const encaps = ['vxlan', 'geneve'] as const;
const underlays = ['ipv4', 'ipv6'] as const;
const transferBytes = 4 << 20;

interface World {
  lab: Lab;
  topology: TwoHosts;
  h1: Vtepd;
  h2: Vtepd;
}

interface Choice {
  encap: 'vxlan' | 'geneve';
  underlay: Underlay;
  tenants: boolean;
}

async function world(lab: Lab, kind: PortKind, choice: Choice): Promise<World> {
  const { underlay, tenants } = choice;
  const topology = await twoHosts(lab, {
    encapUnderlay: underlay,
    attach: kind.attach,
    overlap: tenants,
  });
  const { h1, h2 } = await startBoth(lab, topology, { ...choice, kind });
  if (kind.attach === 'tap') {
    for (const container of Object.values(topology.containers)) await adoptTap(lab, container);
  }
  return { lab, topology, h1, h2 };
}

async function expectTraffic(lab: Lab, from: string, to: string, address: string) {
  const path = { from, to, address };
  const pinged = await ping(lab, from, address);
  expect(pinged, pinged.text).toMatchObject({ received: 3, duplicates: 0 });
  for (const reverse of [false, true]) {
    const sent = await transfer(lab, path, { bytes: transferBytes, reverse });
    expect(sent, `TCP ${from} → ${to}, reverse: ${reverse}`).toMatchObject({ ok: true });
  }
  // Up to the MTU, and above it: the kernel makes fragments, which must pass too.
  for (const size of [18, 1400, 1472, 4000]) {
    const counted = await datagrams(lab, path, { size, count: 200, rate: 2000 });
    expect(counted, `UDP of ${size} bytes ${from} → ${to}`).toMatchObject({
      lost: 0,
      duplicated: 0,
      corrupted: 0,
    });
  }
}

/** The suite for one kind of port. */
export function scenarios(kind: PortKind): void {
  describeWith([...kind.needs], `containers on ${kind.name}`, () => {
    const useWorld = useLab();
    for (const encap of encaps) {
      for (const underlay of underlays) {
        it(`talk across hosts, within their tenant only: ${encap} over ${underlay}`, async () => {
          const { lab, topology, h1, h2 } = await world(useWorld(), kind, {
            encap,
            underlay,
            tenants: true,
          });
          const { c2 } = topology.containers;
          await expectTraffic(lab, 'c1', 'c2', c2.ip);
          await expectTraffic(lab, 'c3', 'c4', c2.ip);
          const six = await ping(lab, 'c1', c2.ip6);
          expect(six, six.text).toMatchObject({ received: 3, duplicates: 0 });
          await expectIsolation(lab, topology);
          h1.expectQuietLog();
          h2.expectQuietLog();
        });
      }
    }

    it('talk on one host', async () => {
      const { lab, topology, h1 } = await world(useWorld(), kind, {
        encap: 'vxlan',
        underlay: 'ipv4',
        tenants: false,
      });
      await expectTraffic(lab, 'c1', 'c3', topology.containers.c3.ip);
      h1.expectQuietLog();
    });
  });
}

/** Red's address is blue's too: what one tenant sends must arrive at none but its own. */
async function expectIsolation(lab: Lab, topology: TwoHosts) {
  const watcher = lab.spawn('c4', 'tcpdump', ['-n', '-l', '-i', 'eth0', '--immediate-mode']);
  await watcher.waitFor(/listening on/);
  const { received } = await ping(lab, 'c1', topology.containers.c2.ip, { count: 5 });
  expect(received).toBe(5);
  await watcher.stop();
  const heard = watcher.stdout.split('\n').filter((line) => /ICMP echo/.test(line));
  expect(heard).toEqual([]);
}
