// bench/rfc2544/search.ts — finds the greatest load that a device passes, for several allowed
// losses in one search.
//
// It is a binary search (RFC 2544, 26.1) made short as MLRsearch makes it (draft-ietf-bmwg-
// mlrsearch): trials are kept and asked again for every goal; short trials narrow a bracket, which
// trials of twice to eight times the time confirm or move; only the last bracket gets trials of the
// full time, and only those decide. A load that loses counts against all loads above it, so that
// the answer errs to the low side. The search knows no generator: it is given a probe.

import { type Demand, Evidence } from './search/evidence.ts';
import { type Outcome, percent, type SearchResult, type Trial } from './search/outcome.ts';

/** What a trial answers. */
export interface Probed {
  /** Lost of what was sent, 0 to 1. */
  readonly loss: number;
  /** Why the trial tells nothing of the device; undefined if it does. */
  readonly fault: string | undefined;
  /** The load that was reached when the generator fell behind. */
  readonly reached?: number;
}

export type Probe = (load: number, seconds: number) => Promise<Probed>;

export interface SearchSettings {
  /** Allowed losses, 0 to 1; [0, 0.01] finds NDR and PDR. */
  readonly losses: readonly number[];
  /** Whole numbers. */
  readonly lowest: number;
  readonly highest: number;
  /** Where to begin, if something is known; otherwise at the highest. */
  readonly start?: number;
  /** Width of the last bracket as a share of the load: 0.001. */
  readonly resolution: number;
  /** Seconds of the trials that decide, and of the first ones. */
  readonly seconds: number;
  readonly firstSeconds: number;
  /** Trials of full time that decide on a load, by majority. */
  readonly votes: number;
  /** Contradictions over more than this share of the load make the result unclear. */
  readonly noiseMax: number;
  /** A search that needs more trials has no result. */
  readonly trialsMax: number;
  /** "frames/s": for sentences. */
  readonly unit: string;
}

export const searchDefaults = {
  votes: 1,
  noiseMax: 0.05,
  trialsMax: 300,
  unit: 'frames/s',
} as const;

/** Of the load that a generator reached when it fell behind, this much it may hold. */
const nearly = 0.95;
/** Each round of trials takes at most so many times the time of the one before. */
const longerMost = 8;
/** Steps out of a bracket that moved grow by this factor each. */
const stepGrowth = 3;
/** How often loads that contradict each other are tried once more. */
const recheckMax = 3;
/** Shares of the answer that are tried shortly in the end: what passes must pass at less. */
const shares = [0.9, 0.75, 0.5, 0.25] as const;

interface Phase {
  readonly seconds: number;
  readonly width: number;
}

/** Times grow evenly to the full time while the bracket narrows to the resolution. */
function phasesOf({ seconds, firstSeconds, resolution }: SearchSettings): Phase[] {
  const ratio = Math.max(1, seconds / Math.min(firstSeconds, seconds));
  const steps = ratio === 1 ? 0 : Math.max(1, Math.ceil(Math.log(ratio) / Math.log(longerMost)));
  return Array.from({ length: steps + 1 }, (_, step) => ({
    seconds: step === steps ? seconds : seconds / ratio ** ((steps - step) / steps),
    width: resolution * 2 ** (steps - step),
  }));
}

/** Thrown inside a search to end it: there will be no figure for any goal. */
class NoResult extends Error {}

/** Searches; rejects only if the probe does. */
export async function search(probe: Probe, settings: SearchSettings): Promise<SearchResult> {
  return new Search(probe, settings).run();
}

class Search {
  readonly #probe: Probe;
  readonly #settings: SearchSettings;
  readonly #evidence = new Evidence();
  readonly #trials: Trial[] = [];
  /** Least load that the generator could not make, and what it said. */
  #ceiling: { load: number; reached: number | undefined; fault: string } | undefined;

  constructor(probe: Probe, settings: SearchSettings) {
    this.#probe = probe;
    this.#settings = settings;
  }

  async run(): Promise<SearchResult> {
    const { losses } = this.#settings;
    const sorted = [...new Set(losses)].sort((a, b) => a - b);
    const phases = phasesOf(this.#settings);
    const outcomes = new Map<number, Outcome>();
    try {
      for (const phase of phases) {
        for (const loss of sorted) await this.#narrow(loss, phase);
      }
      for (const loss of sorted) outcomes.set(loss, await this.#settle(loss, phases.at(-1)!));
    } catch (error) {
      if (!(error instanceof NoResult)) throw error;
      for (const loss of losses) {
        if (!outcomes.has(loss)) outcomes.set(loss, { kind: 'unclear', why: error.message });
      }
    }
    return {
      outcomes: losses.map((loss) => ({ loss, outcome: outcomes.get(loss)! })),
      trials: this.#trials,
    };
  }

  #demand(loss: number, seconds: number): Demand {
    // Short trials only look for the place: one of them is enough.
    const isFull = seconds >= this.#settings.seconds;
    return { loss, seconds, votes: isFull ? this.#settings.votes : 1 };
  }

  /** What passes and what does not; the generator's ceiling ends the range as a loss would. */
  #bounds(demand: Demand) {
    const { lower, upper } = this.#evidence.bounds(demand);
    const ceiling = this.#ceiling?.load;
    if (ceiling === undefined || (upper !== undefined && upper < ceiling)) {
      return { lower, upper, isCeiling: false };
    }
    const below = this.#evidence.loads.filter((load) => load < ceiling);
    const passing = below.filter((load) => this.#evidence.verdict(load, demand) === 'passes');
    return { lower: passing.at(-1), upper: ceiling, isCeiling: true };
  }

  /** Tries loads until the bracket of this goal is as narrow as the phase wants it. */
  async #narrow(loss: number, phase: Phase): Promise<void> {
    const demand = this.#demand(loss, phase.seconds);
    let step = phase.width;
    for (;;) {
      const next = this.#next(demand, phase.width, step);
      if (next === undefined) return;
      if (next.isStep) step *= stepGrowth;
      await this.#decide(next.load, demand);
    }
  }

  /** The load to try next; undefined when there is nothing left to learn. */
  #next(demand: Demand, width: number, step: number) {
    const { lowest, highest, start } = this.#settings;
    const { lower, upper, isCeiling } = this.#bounds(demand);
    if (lower !== undefined && upper !== undefined) {
      const middle = between(lower, upper, width);
      const reached = isCeiling ? Math.floor((this.#ceiling?.reached ?? 0) * nearly) : 0;
      // What the generator reached is nearer to its limit than the middle, while that is far.
      return middle && reached > middle.load && reached < upper
        ? { load: reached, isStep: false }
        : middle;
    }
    if (lower !== undefined) {
      if (lower >= highest) return undefined;
      const known = this.#hinted(demand, lower, highest + 1, 'bad').at(0);
      const out = Math.max(lower + 1, Math.round(lower * (1 + step)));
      return known === undefined || known > out * (1 + step)
        ? { load: Math.min(highest, out), isStep: true }
        : { load: known, isStep: false };
    }
    if (upper !== undefined) {
      if (upper <= lowest) return undefined;
      const known = this.#hinted(demand, lowest, upper, 'good').at(-1);
      if (known !== undefined) return { load: known, isStep: false };
      const down = Math.min(upper - 1, Math.round(upper / (1 + step)));
      const load = Math.min(down, this.#through(upper, demand.loss));
      return { load: Math.max(lowest, load), isStep: true };
    }
    const known = this.#hinted(demand, lowest, highest + 1, 'good').at(-1);
    const first = known ?? Math.min(highest, Math.max(lowest, start ?? highest));
    return { load: first, isStep: false };
  }

  /** Loads from `from` to below `to`, not decided yet, that shorter trials found good or bad. */
  #hinted({ loss, ...demand }: Demand, from: number, to: number, what: 'good' | 'bad'): number[] {
    const all = this.#evidence.loads.filter((load) => load >= from && load < to);
    const open = all.filter(
      (load) => this.#evidence.verdict(load, { ...demand, loss }) === 'undecided',
    );
    if (what === 'bad') return open.filter((load) => this.#evidence.hint(load, loss).bad);
    // Above a load that is known to be bad, a good one is an accident of its short time.
    const bad = open.find((load) => this.#evidence.hint(load, loss).bad) ?? to;
    return open.filter((load) => load < bad);
  }

  /** What came through at a load that loses too much: the device's rate, if it is a simple one. */
  #through(upper: number, loss: number): number {
    const { reached } = this.#ceiling?.load === upper ? this.#ceiling : { reached: undefined };
    if (reached !== undefined) return Math.floor(reached);
    if (this.#evidence.at(upper).length === 0) return upper;
    const through = (upper * (1 - this.#evidence.leastLoss(upper))) / (1 - loss);
    return Math.floor(through);
  }

  /** Tries a load until it passes or loses, or the generator cannot make it. */
  async #decide(load: number, demand: Demand): Promise<void> {
    let faults = 0;
    while (this.#evidence.verdict(load, demand) === 'undecided') {
      const fault = await this.#try(load, demand.seconds);
      if (fault === undefined) continue;
      faults += 1;
      if (faults < 2) continue;
      await this.#cap(load, fault, demand);
      return;
    }
  }

  /** One trial; what the generator complained about. */
  async #try(load: number, seconds: number): Promise<Probed | undefined> {
    if (this.#trials.length >= this.#settings.trialsMax) {
      throw new NoResult(`No decision after ${this.#trials.length} trials.`);
    }
    const probed = await this.#probe(load, seconds);
    const { loss, fault } = probed;
    this.#trials.push({ load, seconds, loss, fault });
    if (fault !== undefined) return probed;
    this.#evidence.add({ load, seconds, loss });
    return undefined;
  }

  /** The generator failed twice at a load: the range ends below it, if there is any range. */
  async #cap(load: number, { fault, reached }: Probed, { seconds }: Demand): Promise<void> {
    const { lowest } = this.#settings;
    this.#ceiling = { load, reached, fault: fault ?? '' };
    if (this.#evidence.loads.length > 0) return;
    const again = load > lowest ? await this.#try(lowest, seconds) : { fault };
    if (again !== undefined) throw new NoResult(again.fault ?? '');
  }

  /** Loads that contradict each other are tried again; then the answer. */
  async #settle(loss: number, phase: Phase): Promise<Outcome> {
    const demand = this.#demand(loss, phase.seconds);
    for (let recheck = 0; ; recheck += 1) {
      await this.#narrow(loss, phase);
      await this.#lookBelow(demand);
      const contradiction = this.#contradiction(demand);
      if (contradiction === undefined) return this.#outcome(demand, 0);
      const { upper, above } = contradiction;
      const noise = above / upper - 1;
      if (noise <= this.#settings.noiseMax) return this.#outcome(demand, noise);
      if (recheck === recheckMax) return this.#unsteady(contradiction, demand);
      for (const load of [upper, above]) await this.#try(load, phase.seconds);
    }
  }

  /** Short trials at shares of the answer; one that loses is tried for the full time. */
  async #lookBelow(demand: Demand): Promise<void> {
    const { lower } = this.#bounds(demand);
    if (lower === undefined) return;
    const { lowest, firstSeconds } = this.#settings;
    for (const share of shares) {
      const load = Math.round(lower * share);
      const near = (other: number) => Math.abs(other / load - 1) < 1 / 16;
      if (load < lowest || this.#evidence.loads.some(near)) continue;
      await this.#try(load, Math.min(firstSeconds, demand.seconds));
    }
    for (const load of this.#evidence.loads.filter((one) => one < lower)) {
      if (this.#evidence.hint(load, demand.loss).bad) await this.#decide(load, demand);
    }
  }

  /** A load that passes above one that loses, as far above as there is one. */
  #contradiction(demand: Demand): { upper: number; above: number } | undefined {
    const { upper } = this.#evidence.bounds(demand);
    if (upper === undefined) return undefined;
    const above = this.#evidence.contradicting(upper, demand).at(-1);
    return above === undefined ? undefined : { upper, above };
  }

  #unsteady({ upper, above }: { upper: number; above: number }, demand: Demand): Outcome {
    const { unit, seconds } = this.#settings;
    const isFull = (one: Trial) => one.seconds >= seconds && one.fault === undefined;
    const full = (load: number) =>
      this.#trials.filter((one) => one.load === load && isFull(one)).map((one) => one.loss);
    const [low, high] = [full(upper), full(above)];
    const isSame =
      low.every((loss) => loss > demand.loss) && high.every((loss) => loss <= demand.loss);
    const what = isSame
      ? `The device is not monotonic: it loses more than ${percent(demand.loss)} at ` +
        `${whole(upper)} ${unit} and carries ${whole(above)}, ${high.length} times each.`
      : `The device is too noisy: between ${whole(upper)} and ${whole(above)} ${unit} the same ` +
        `load now holds a loss of ${percent(demand.loss)} and now does not.`;
    return { kind: 'unclear', why: what };
  }

  #outcome(demand: Demand, noise: number): Outcome {
    const { unit } = this.#settings;
    const { lower, upper, isCeiling } = this.#bounds(demand);
    if (lower === undefined) {
      const at = `${whole(this.#settings.lowest)} ${unit}, the lowest load that is tried`;
      const why = isCeiling
        ? (this.#ceiling?.fault ?? '')
        : `Loses more than ${percent(demand.loss)} even at ${at}.`;
      return { kind: 'unclear', why };
    }
    const forwarded = lower * (1 - this.#typicalLoss(lower, demand));
    if (upper === undefined) {
      const why = `${whole(lower)} ${unit} is the highest load that is tried.`;
      return { kind: 'at-least', load: lower, forwarded, why, isGenerator: false };
    }
    if (isCeiling) {
      const why = this.#ceiling?.fault ?? '';
      return { kind: 'at-least', load: lower, forwarded, why, isGenerator: true };
    }
    return { kind: 'found', load: lower, upper, forwarded, noise };
  }

  /** The median loss of the trials of full time. */
  #typicalLoss(load: number, { seconds }: Demand): number {
    const full = this.#evidence.at(load).filter((one) => one.seconds >= seconds);
    const losses = full.map(({ loss }) => loss).sort((a, b) => a - b);
    return losses[Math.floor(losses.length / 2)] ?? 0;
  }
}

/** The middle by ratio; undefined when the bracket is as narrow as wanted, or as whole numbers. */
function between(lower: number, upper: number, width: number) {
  if (upper <= lower * (1 + width) || upper - lower <= 1) return undefined;
  const middle = Math.round(Math.sqrt(lower * upper));
  return { load: Math.min(upper - 1, Math.max(lower + 1, middle)), isStep: false };
}

const whole = (value: number): string => Math.round(value).toLocaleString('en');
