// slowpath/learning.ts — MAC addresses that traffic taught, in networks that ask for it.
//
// An address is learned from the first packet that no rule of stage learn knows, as two rules: its
// packets pass from where it is, and packets for it go there. It moves when it is seen elsewhere,
// and is forgotten after the network's aging time without a packet; use is noticed by revalidation,
// when a flow that was translated through the address's rule has carried packets. A location that
// has reached its limit gets a rule that drops what it would have to learn: its known addresses go
// on.

import { field, getBytes } from '../flow/key.ts';
import { type LearningNetwork, learnedRules, learnFullRule } from '../pipeline/learned.ts';
import type { Pipeline } from '../pipeline/pipeline.ts';
import { register } from '../pipeline/registers.ts';
import type { Rule } from '../pipeline/rule.ts';
import type { Translation } from '../pipeline/translate.ts';

interface Entry {
  readonly vni: number;
  readonly mac: Uint8Array;
  readonly location: number;
  readonly rules: readonly Rule[];
  usedMs: number;
}

/** A learned address as others may see it. */
export type Learned = Readonly<Entry>;

/** What a change of learned addresses asks of revalidation. */
export interface LearningEffects {
  /** Flows from or to this address may be wrong now. */
  addressChanged(mac: Uint8Array): void;
  /** Any flow may be. */
  everythingChanged(): void;
}

export class Learning {
  readonly #pipeline: Pipeline;
  readonly #effects: LearningEffects;
  #networks: ReadonlyMap<number, LearningNetwork> = new Map();
  /** By VNI and MAC. */
  readonly #entries = new Map<string, Entry>();
  /** By rule of stage learn. */
  readonly #byRule = new Map<Rule, Entry>();
  /** Entries of each VNI and location. */
  readonly #counts = new Map<string, number>();
  readonly #full = new Map<string, Rule>();

  constructor(pipeline: Pipeline, effects: LearningEffects) {
    this.#pipeline = pipeline;
    this.#effects = effects;
  }

  get size(): number {
    return this.#entries.size;
  }

  entries(): IterableIterator<Learned> {
    return this.#entries.values();
  }

  /** Shortest aging time of the networks that learn, in ms; undefined: none does. */
  get agingMs(): number | undefined {
    const seconds = [...this.#networks.values()].map((network) => network.agingSeconds);
    return seconds.length === 0 ? undefined : Math.min(...seconds) * 1000;
  }

  /** Replaces the networks; forgets addresses of networks and locations that are gone. */
  setNetworks(networks: ReadonlyMap<number, LearningNetwork>): void {
    const limits = new Map(
      [...this.#networks].map(([vni, network]) => [vni, network.limitPerPort]),
    );
    this.#networks = networks;
    for (const entry of [...this.#entries.values()]) {
      const network = networks.get(entry.vni);
      const limit = limits.get(entry.vni);
      const kept = network?.locations.has(entry.location) && network.limitPerPort === limit;
      if (!kept) this.#forget(entry);
    }
  }

  /**
   * Learns the source of a walk that asked for it. True: the rules have changed, and the same
   * packet translates otherwise now.
   */
  learn(walk: Translation, nowMs: number): boolean {
    const vni = walk.key[register.network]!;
    const location = walk.key[register.source]!;
    const network = this.#networks.get(vni);
    if (!walk.learn || network === undefined || !network.locations.has(location)) return false;
    const mac = getBytes(walk.key, 0, field.eth_src);
    const place = placeOf(vni, location);
    if ((this.#counts.get(place) ?? 0) >= network.limitPerPort) return false;
    const known = this.#entries.get(nameOf(vni, mac));
    if (known !== undefined) this.#forget(known);
    const rules = learnedRules({ vni, mac, location });
    const entry: Entry = { vni, mac, location, rules, usedMs: nowMs };
    this.#entries.set(nameOf(vni, mac), entry);
    this.#byRule.set(rules[0]!, entry);
    this.#pipeline.apply({ removed: [], added: rules });
    this.#count(entry, 1, network.limitPerPort);
    this.#effects.addressChanged(mac);
    return true;
  }

  /** A flow that came through this rule of stage learn was last used then. */
  touch(rule: Rule | undefined, usedMs: number): void {
    if (rule === undefined) return;
    const entry = this.#byRule.get(rule);
    if (entry !== undefined && usedMs > entry.usedMs) entry.usedMs = usedMs;
  }

  /** Forgets what has not been used for the aging time of its network. Returns how many. */
  expire(nowMs: number): number {
    let count = 0;
    for (const entry of [...this.#entries.values()]) {
      const agingMs = (this.#networks.get(entry.vni)?.agingSeconds ?? 0) * 1000;
      if (nowMs - entry.usedMs <= agingMs) continue;
      this.#forget(entry);
      count += 1;
    }
    return count;
  }

  #forget(entry: Entry): void {
    this.#entries.delete(nameOf(entry.vni, entry.mac));
    this.#byRule.delete(entry.rules[0]!);
    this.#pipeline.apply({ removed: entry.rules, added: [] });
    this.#count(entry, -1, this.#networks.get(entry.vni)?.limitPerPort ?? 0);
    this.#effects.addressChanged(entry.mac);
  }

  /** Counts an address in or out, and keeps the rule of a full location. */
  #count({ vni, location }: Entry, change: 1 | -1, limit: number): void {
    const place = placeOf(vni, location);
    const count = (this.#counts.get(place) ?? 0) + change;
    if (count > 0) this.#counts.set(place, count);
    else this.#counts.delete(place);
    const full = this.#full.get(place);
    if (count >= limit && full === undefined && change > 0) {
      const rule = learnFullRule(vni, location);
      this.#full.set(place, rule);
      this.#pipeline.apply({ removed: [], added: [rule] });
    } else if (change < 0 && full !== undefined) {
      this.#full.delete(place);
      this.#pipeline.apply({ removed: [full], added: [] });
      this.#effects.everythingChanged();
    }
  }
}

function nameOf(vni: number, mac: Uint8Array): string {
  return `${vni}/${Buffer.from(mac).toString('hex')}`;
}

function placeOf(vni: number, location: number): string {
  return `${vni}/${location}`;
}
