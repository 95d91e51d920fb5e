// bench/rfc2544/search/evidence.ts — every trial of a search, and what they say of a load
// together.
//
// A trial of a shorter time than wanted cannot pass a load, since buffers take up what is too much
// for a while, but it is kept: bad short trials that good short ones do not outweigh count against
// the load. This is the load classification of MLRsearch (draft-ietf-bmwg-mlrsearch, "Load
// Classification Logic") with an exceed ratio of one half: a majority of the time decides.

/** What one trial at one load found. */
export interface Observation {
  /** In the unit of the axis that is searched: frames a second, or frames of a burst. */
  readonly load: number;
  /** How long it was to send. */
  readonly seconds: number;
  /** Lost of what was sent, 0 to 1. */
  readonly loss: number;
}

export type Verdict = 'passes' | 'loses' | 'undecided';

/** What a load has to hold. */
export interface Demand {
  /** Loss that is allowed, 0 to 1. */
  readonly loss: number;
  /** Trials have to be at least as long, in seconds. */
  readonly seconds: number;
  /** So many of them decide by majority. */
  readonly votes: number;
}

/** The half: a load passes unless more than this share of the time lost too much. */
const exceedRatio = 0.5;

export class Evidence {
  readonly #byLoad = new Map<number, Observation[]>();
  #loads: readonly number[] = [];

  add(observation: Observation): void {
    const known = this.#byLoad.get(observation.load);
    if (known !== undefined) known.push(observation);
    else {
      this.#byLoad.set(observation.load, [observation]);
      this.#loads = [...this.#byLoad.keys()].sort((a, b) => a - b);
    }
  }

  /** All loads that were tried, ascending. */
  get loads(): readonly number[] {
    return this.#loads;
  }

  at(load: number): readonly Observation[] {
    return this.#byLoad.get(load) ?? [];
  }

  verdict(load: number, demand: Demand): Verdict {
    const time = { longGood: 0, longBad: 0, shortGood: 0, shortBad: 0 };
    for (const { seconds, loss } of this.at(load)) {
      const isGood = loss <= demand.loss;
      if (seconds >= demand.seconds) time[isGood ? 'longGood' : 'longBad'] += seconds;
      else time[isGood ? 'shortGood' : 'shortBad'] += seconds;
    }
    const bad = time.longBad + Math.max(0, time.shortBad - time.shortGood);
    const whole = Math.max(time.longGood + bad, demand.seconds * demand.votes);
    const allowed = whole * exceedRatio;
    if (bad > allowed) return 'loses';
    // Even if all that is missing should turn out bad.
    return whole - time.longGood <= allowed ? 'passes' : 'undecided';
  }

  /** The least load that loses, and the greatest one below it that passes. */
  bounds(demand: Demand): { lower: number | undefined; upper: number | undefined } {
    let lower: number | undefined;
    for (const load of this.loads) {
      const verdict = this.verdict(load, demand);
      if (verdict === 'loses') return { lower, upper: load };
      if (verdict === 'passes') lower = load;
    }
    return { lower, upper: undefined };
  }

  /** Loads above `above` that pass all the same, although a lesser one loses; ascending. */
  contradicting(above: number, demand: Demand): number[] {
    return this.loads.filter((load) => load > above && this.verdict(load, demand) === 'passes');
  }

  /** Whether any trial at the load lost more than allowed, or any did not. */
  hint(load: number, loss: number): { good: boolean; bad: boolean } {
    const all = this.at(load);
    return {
      good: all.some((one) => one.loss <= loss),
      bad: all.some((one) => one.loss > loss),
    };
  }

  /** Least loss seen at a load. */
  leastLoss(load: number): number {
    return Math.min(...this.at(load).map(({ loss }) => loss));
  }
}
