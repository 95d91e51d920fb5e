// switch/oracles.test.ts — the cached path held against the uncached one, and two parsers together.
//
// The switch is asked about random packets in random documents. Whatever a packet met (a cached
// entry, a megaflow, the slow path), the flow that counted it must be the one that translating the
// packet anew gives: same mask, same masked key, same actions. The seed stands in the test's name;
// VTEP_SEED sets it.

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { regionMemory } from '../../src/datapath/memory.ts';
import { dropReason, dropReasonName } from '../../src/flow/drop-reasons.ts';
import { field, flowKeyWords, newKey, setNumber } from '../../src/flow/key.ts';
import { formatKey } from '../../src/flow/key-text.ts';
import { parsePacket } from '../../src/flow/packet.ts';
import type { Document } from '../../src/model/document.ts';
import { Translation, translate } from '../../src/pipeline/translate.ts';
import { ipBytes, macText, toHex } from '../support/bytes.ts';
import { ModelSwitch, type Sent, uplink } from '../support/model-switch.ts';
import { eth, packet } from '../support/packet.ts';
import { UpcallReader } from '../support/upcall-reader.ts';
import { arbitraryDocument } from '../unit/model/arbitrary-document.ts';
import { arbitraryFrame, brokenNowAndThen, flipped } from './arbitrary-frame.ts';

const seed = Number(process.env.VTEP_SEED ?? Math.floor(Math.random() * 2 ** 31));
const host = 'host-0';
const minutes = 60_000;

/** Documents whose verdicts follow from the packet alone: nothing is learned or tracked. */
const documents = arbitraryDocument.map(
  (document): Document => ({
    ...document,
    networks: document.networks.map((network) => ({ ...network, learning: false })),
    securityGroups: document.securityGroups.map((group) => ({ ...group, stateful: false })),
    // Ports without a group would track connections for ACLs.
    acls: document.acls.map((acl) => ({ ...acl, networks: [], securityGroups: ['group-0'] })),
  }),
);

/** Where a frame comes in: a device of the document, or a tunnel, by indexes. */
interface Entry {
  readonly tunnel: boolean;
  readonly place: number;
  /** The device of the port that has the source MAC, if any. */
  readonly own?: string;
  readonly frame: Uint8Array;
}

function entries(document: Document, frames = arbitraryFrame(document)): fc.Arbitrary<Entry> {
  const tunnel = fc.integer({ min: 0, max: 2 }).map((value) => value === 0);
  const devices = new Map(document.ports.map((port) => [port.mac, port.device]));
  return fc
    .record({ tunnel, place: fc.nat(100), frame: frames })
    .map((entry) => ({ ...entry, own: devices.get(macText(entry.frame.subarray(6, 12))) }));
}

interface Arrival {
  readonly device: string;
  readonly bytes: Uint8Array;
  /** What the key may be, but for what the frame itself says: in_port, tunnel_id, tunnel_src. */
  readonly keys: readonly Uint32Array[];
  /** Why the parser refuses the frame; 0: it does not. */
  readonly refused: number;
}

function keyOf(frame: Uint8Array, inPort: number, tunnel = { vni: 0, number: 0 }) {
  const key = newKey();
  const refused = parsePacket(frame, key, 0, { verifyChecksums: true });
  setNumber(key, 0, field.in_port, inPort);
  setNumber(key, 0, field.tunnel_id, tunnel.vni);
  setNumber(key, 0, field.tunnel_src, tunnel.number);
  return { key, refused };
}

/** How an entry gets into this switch; undefined: it has no such way in. */
function arrival(one: ModelSwitch, { tunnel, place, own, frame }: Entry): Arrival | undefined {
  const { ports, networks, tunnels, endpoints } = one.compiled.objects;
  if (!tunnel) {
    const right = place % 4 > 0 && own !== undefined && ports.has(own);
    const device = right ? own : [...ports.keys()].sort()[place % Math.max(1, ports.size)];
    if (device === undefined) return undefined;
    const { key, refused } = keyOf(frame, one.number('devices', device));
    return { device, bytes: frame, keys: [key], refused };
  }
  const from = [...tunnels.values()].sort((a, b) =>
    a.remote + a.encap < b.remote + b.encap ? -1 : 1,
  );
  const remote = from[place % Math.max(1, from.length)];
  const of = [...networks.values()].filter(({ encap }) => encap === remote?.encap);
  const network = of[place % Math.max(1, of.length)];
  if (remote === undefined || network === undefined) return undefined;
  const start = eth();
  const ip = { src: remote.remote, dst: endpoints[0]! };
  const udp = ipBytes(ip.src).length === 4 ? start.ip(ip) : start.ip6(ip);
  const outer = udp.udp({ src: 50_000, dst: network.encap === 'vxlan' ? 4789 : 6081 });
  const shell = network.encap === 'vxlan' ? outer.vxlan(network.vni) : outer.geneve(network.vni);
  const bytes = shell.carry(packet().raw(frame)).build();
  const inPort = one.number('devices', uplink);
  // A VTEP with tunnels of both kinds is known by either number.
  const aliases = from.filter((other) => other.remote === remote.remote);
  const keys = aliases.map(({ number }) => keyOf(frame, inPort, { vni: network.vni, number }));
  return { device: uplink, bytes, keys: keys.map(({ key }) => key), refused: keys[0]!.refused };
}

/** Packets of each linked flow. */
function flowPackets(one: ModelSwitch): Map<number, number> {
  const { flows } = one.slowPath;
  const packets = new Map<number, number>();
  for (let slot = 1; slot <= flows.highest; slot += 1) {
    if (flows.isLinked(slot)) packets.set(slot, one.counters.flow(slot).packets);
  }
  return packets;
}

/** Sends the frame; the flow that counted it, 0 when none did. */
function sendThrough(one: ModelSwitch, { device, bytes }: Arrival): { slot: number; sent: Sent[] } {
  const before = flowPackets(one);
  const sent = one.send(device, bytes);
  const hit = [...flowPackets(one)].filter(([slot, count]) => count !== (before.get(slot) ?? 0));
  if (hit.length > 1) throw new Error(`one packet, counted by ${hit.length} flows`);
  return { slot: hit[0]?.[0] ?? 0, sent };
}

const verdict = new Translation();

/** Throws unless the flow is what translating one of the keys gives. */
function expectFlow(one: ModelSwitch, slot: number, { keys, refused }: Arrival): void {
  if (refused !== 0) {
    if (slot !== 0) throw new Error(`${dropReasonName(refused)}, and yet flow ${slot} counted it`);
    return;
  }
  const { flows, pipeline } = one.slowPath;
  const right = keys.some((key) => {
    translate(pipeline, key, 0, verdict);
    return slot !== 0 && flows.find(verdict) === slot && flows.agrees(slot, verdict);
  });
  if (right) return;
  const texts = keys.map((key) => formatKey(key)).join(' or ');
  throw new Error(
    `flow ${slot} is not what translate says of ${texts}: ${JSON.stringify(one.flows())}`,
  );
}

/** No live flow differs from what translating its masked key gives. */
function expectFlowsRight(one: ModelSwitch): void {
  const { flows, pipeline } = one.slowPath;
  for (let slot = 1; slot <= flows.highest; slot += 1) {
    if (!flows.isLinked(slot)) continue;
    translate(pipeline, flows.memory.slots, flows.keyAt(slot), verdict);
    if (flows.find(verdict) === slot && flows.agrees(slot, verdict)) continue;
    throw new Error(`flow ${slot} differs from its translation`);
  }
}

/** Whether two keys agree in all bits of the flow's mask. */
function sameMasked(
  one: ModelSwitch,
  slot: number,
  left: Uint32Array,
  right: Uint32Array,
): boolean {
  const { memory } = one.slowPath.flows;
  const mask = one.slowPath.flows.maskAt(slot);
  for (let word = 0; word < flowKeyWords; word += 1) {
    if (((left[word]! ^ right[word]!) & memory.slots[mask + word]!) !== 0) return false;
  }
  return true;
}

function withModel(document: Document, use: (one: ModelSwitch) => void): void {
  const one = new ModelSwitch(document, { host, flowMax: 1024 });
  try {
    use(one);
    if (one.logged.length > 0) throw new Error(one.logged.join('\n'));
  } finally {
    one.close();
  }
}

/** The same, and afterwards every exact entry is as its packets' translation wants it. */
async function withAudit(document: Document, use: (one: ModelSwitch) => void): Promise<void> {
  const one = new ModelSwitch(document, { host, flowMax: 1024 });
  try {
    use(one);
    if (one.logged.length > 0) throw new Error(one.logged.join('\n'));
    await one.end();
  } finally {
    one.close();
  }
}

/** A document with entries for it. */
function scenes(frames: (document: Document) => fc.Arbitrary<Uint8Array>, count: number) {
  return documents.chain((document) =>
    fc.tuple(
      fc.constant(document),
      fc.array(entries(document, frames(document)), { minLength: count / 2, maxLength: count }),
    ),
  );
}

describe(`with seed ${seed}`, () => {
  test(
    'whatever a packet meets, it is what translating it says',
    async () => {
      let [hits, misses, refused] = [0, 0, 0];
      const scene = scenes((document) => brokenNowAndThen(arbitraryFrame(document)), 60);
      await fc.assert(
        fc.asyncProperty(scene, ([document, list]) =>
          withAudit(document, (one) => {
            for (const entry of [...list, ...list]) {
              const way = arrival(one, entry);
              if (way === undefined) continue;
              const { slot } = sendThrough(one, way);
              expectFlow(one, slot, way);
              if (way.refused !== 0) refused += 1;
            }
            const worker = one.worker();
            hits += worker.exact_hits! + worker.megaflow_hits!;
            misses += worker.misses!;
            expectFlowsRight(one);
          }),
        ),
        { seed, numRuns: 25 },
      );
      // Otherwise nothing was tested: neither cache, nor slow path, nor parser.
      expect(Math.min(hits, misses, refused)).toBeGreaterThan(30);
    },
    minutes,
  );

  test(
    'flip any bit that a megaflow leaves wild, and the packet meets the same megaflow',
    () => {
      let flips = 0;
      const bits = fc.array(fc.nat(8 * 80 - 1), { minLength: 8, maxLength: 8 });
      const scene = fc.tuple(scenes(arbitraryFrame, 30), bits);
      fc.assert(
        fc.property(scene, ([[document, list], positions]) =>
          withModel(document, (one) => {
            for (const entry of list) {
              const way = arrival(one, entry);
              if (way === undefined || way.refused !== 0) continue;
              const { slot } = sendThrough(one, way);
              for (const position of positions) {
                const bit = position % (entry.frame.length * 8);
                const other = arrival(one, { ...entry, frame: flipped(entry.frame, bit) })!;
                if (other.refused !== 0) continue;
                const wild = sameMasked(one, slot, way.keys[0]!, other.keys[0]!);
                const { misses } = one.worker();
                const met = sendThrough(one, other);
                expectFlow(one, met.slot, other);
                if (!wild) continue;
                flips += 1;
                if (met.slot !== slot) throw new Error(`bit ${bit}: flow ${met.slot}, not ${slot}`);
                if (one.worker().misses !== misses) throw new Error(`bit ${bit}: an upcall`);
              }
            }
          }),
        ),
        { seed, numRuns: 20 },
      );
      expect(flips).toBeGreaterThan(300);
    },
    minutes,
  );

  test(
    'after a document has changed, packets are treated as by a switch that knew no other',
    () => {
      const scene = fc.tuple(documents, documents).chain(([before, after]) => {
        const both = { ...before, ports: [...before.ports, ...after.ports] };
        const list = fc.array(entries(both), { minLength: 20, maxLength: 40 });
        return fc.tuple(fc.constant(before), fc.constant(after), list);
      });
      let kept = 0;
      fc.assert(
        fc.property(scene, ([before, after, list]) =>
          withModel(before, (changed) => {
            for (const entry of list) {
              const way = arrival(changed, entry);
              if (way !== undefined) changed.send(way.device, way.bytes);
            }
            changed.apply(after);
            expectFlowsRight(changed);
            kept += changed.slowPath.flows.size;
            withModel(after, (fresh) => {
              for (const entry of list) {
                const [old, clean] = [arrival(changed, entry), arrival(fresh, entry)];
                expect(old?.device).toBe(clean?.device);
                if (old === undefined || clean === undefined) continue;
                expect(treatment(changed, old)).toEqual(treatment(fresh, clean));
              }
            });
            expectFlowsRight(changed);
          }),
        ),
        { seed, numRuns: 20 },
      );
      expect(kept).toBeGreaterThan(0);
    },
    minutes,
  );

  test(
    'the data path reads a packet into the key that the second parser reads',
    () => {
      let [read, refused] = [0, 0];
      const scene = documents.chain((document) =>
        fc.tuple(
          fc.constant(document),
          fc.array(brokenNowAndThen(arbitraryFrame(document)), { minLength: 100, maxLength: 150 }),
        ),
      );
      fc.assert(
        fc.property(scene, ([document, frames]) =>
          withModel(document, (one) => {
            const [device] = one.compiled.objects.ports.keys();
            if (device === undefined) return;
            for (const frame of frames) {
              const { key, refused: reason } = keyOf(frame, one.number('devices', device));
              expect(readByDatapath(one, device, frame)).toBe(
                reason === 0 ? formatKey(key) : dropReasonName(reason),
              );
              if (reason === 0) read += 1;
              else refused += 1;
            }
          }),
        ),
        { seed, numRuns: 25 },
      );
      expect(Math.min(read, refused)).toBeGreaterThan(50);
    },
    minutes,
  );
});

/** What left where, but for what each switch chooses for itself (UDP source ports), and drops. */
function treatment(one: ModelSwitch, { device, bytes }: Arrival): string[] {
  const before = one.drops();
  const out = one.send(device, bytes).map(({ port, frame }) => {
    if (port !== uplink) return `${port} ${toHex(frame)}`;
    const same = frame.slice();
    const udp = same[12] === 0x08 ? 34 : 54;
    same.fill(0, udp, udp + 2);
    same.fill(0, udp + 6, udp + 8);
    return `${port} ${toHex(same)}`;
  });
  for (const [name, count] of Object.entries(one.drops())) {
    if (count !== (before[name] ?? 0)) out.push(`${name} ${count - (before[name] ?? 0)}`);
  }
  return out.sort();
}

/** The key in the upcall record of a frame, as text, or why the frame was dropped. */
function readByDatapath(one: ModelSwitch, device: string, frame: Uint8Array): string {
  const { datapath } = one;
  const before = one.drops(device);
  one.inject(device, frame);
  while (datapath.runOnce(0));
  const reader = new UpcallReader(datapath, 0, regionMemory(datapath.memory).workers[0]!);
  if (reader.take() === 0) {
    const after = Object.entries(one.drops(device));
    return after.find(([name, count]) => count !== (before[name] ?? 0))?.[0] ?? 'nothing';
  }
  const texts: string[] = [];
  while (reader.next()) {
    texts.push(formatKey(reader.words, reader.keyBase));
    reader.answerDrop(dropReason.NoVerdict);
  }
  reader.give();
  while (datapath.runOnce(0));
  return texts.join(' and ');
}
