// switch/advertiser.ts — router advertisements that nobody asked for.
//
// Hosts are told of their router now and then, soon after something about it has changed, and once
// more when it goes (RFC 4861 sections 6.2.4 and 6.2.5). The data path makes the advertisement: it
// is given a solicitation without a sender, as if one had come in by the port, and the program that
// answers those. Whoever asks is answered by the data path alone, vtepd or no vtepd.
//
//   what has happened                        a network's next advertisements
//   it is advertised from now on, or         now, and two more, at most 16 s apart
//   otherwise, or has another local port
//   one was sent                             after 200 to 600 s
//   it is advertised no more                 one with a lifetime of 0, and no other

import { action, actionWord, op } from '../flow/actions.ts';
import type { Advertisement } from '../rules/advertise.ts';

const initialCount = 3;
const initialMaxMs = 16_000;
const minMs = 200_000;
const maxMs = 600_000;

/** A router solicitation from :: to all routers, in a frame: RFC 4861 section 4.1. */
const solicitation = Buffer.from(
  `333300000002020000000000${'86dd'}600000000008${'3aff'}${'00'.repeat(16)}` +
    'ff020000000000000000000000000002' +
    '85007bb800000000',
  'hex',
);
const vlanTagAt = 12;

/** The solicitation with a VLAN tag; 0: without. */
export function solicitationIn(vlan: number): Uint8Array {
  if (vlan === 0) return solicitation;
  const tag = Uint8Array.of(0x81, 0, vlan >>> 8, vlan & 0xff);
  return Buffer.concat([
    solicitation.subarray(0, vlanTagAt),
    tag,
    solicitation.subarray(vlanTagAt),
  ]);
}

interface Schedule {
  advertisement: Advertisement;
  nextMs: number;
  initialLeft: number;
}

export interface AdvertiserParts {
  /** Runs a program on a packet as if it had come in by the port. */
  readonly send: (inPort: number, program: Uint32Array, frame: Uint8Array) => void;
  /** Milliseconds of a clock that does not jump. */
  readonly nowMs: () => number;
  /** From 0 up to 1. */
  readonly random?: () => number;
}

export class Advertiser {
  readonly #parts: AdvertiserParts;
  readonly #random: () => number;
  readonly #schedules = new Map<string, Schedule>();

  constructor(parts: AdvertiserParts) {
    this.#parts = parts;
    this.#random = parts.random ?? Math.random;
  }

  /** What is to be advertised from now on. */
  set(advertisements: readonly Advertisement[]): void {
    const wanted = new Map(advertisements.map((one) => [one.network, one]));
    for (const [network, { advertisement }] of this.#schedules) {
      if (wanted.has(network)) continue;
      this.#send({ ...advertisement, program: withdrawal(advertisement.program) });
      this.#schedules.delete(network);
    }
    for (const [network, advertisement] of wanted) {
      const before = this.#schedules.get(network);
      if (before !== undefined && same(before.advertisement, advertisement)) continue;
      const nextMs = this.#parts.nowMs();
      this.#schedules.set(network, { advertisement, nextMs, initialLeft: initialCount });
    }
  }

  /** Sends what is due. */
  tick(): void {
    const now = this.#parts.nowMs();
    for (const schedule of this.#schedules.values()) {
      if (now < schedule.nextMs) continue;
      this.#send(schedule.advertisement);
      schedule.initialLeft = Math.max(0, schedule.initialLeft - 1);
      const usual = minMs + (maxMs - minMs) * this.#random();
      schedule.nextMs = now + (schedule.initialLeft > 0 ? initialMaxMs * this.#random() : usual);
    }
  }

  #send({ program, ports }: Advertisement): void {
    for (const { device, vlan } of ports) {
      const whole = Uint32Array.from([...program, ...action.output(device)]);
      this.#parts.send(device, whole, solicitationIn(vlan));
    }
  }
}

/** The same advertisement of a router that is none from now on: a lifetime of 0. */
function withdrawal(program: Uint32Array): Uint32Array {
  return Uint32Array.from(program, (word, at) => (at === 0 ? actionWord(op.RouterAdvert) : word));
}

function same(one: Advertisement, other: Advertisement): boolean {
  return (
    Buffer.from(one.program.buffer).equals(Buffer.from(other.program.buffer)) &&
    JSON.stringify(one.ports) === JSON.stringify(other.ports)
  );
}
