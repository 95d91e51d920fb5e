// slowpath/latency.ts — a histogram of durations in a few hundred bytes, without allocation.
//
// Buckets grow by a quarter octave, so a percentile is right within 19 %.

const bucketsPerOctave = 4;
const bucketCount = 32 * bucketsPerOctave;

export class LatencyHistogram {
  readonly #counts = new Float64Array(bucketCount);
  #total = 0;
  #maxUs = 0;

  /** Counts one duration in microseconds. */
  add(us: number): void {
    const bucket = us <= 1 ? 0 : Math.ceil(Math.log2(us) * bucketsPerOctave);
    const index = Math.min(bucketCount - 1, bucket);
    this.#counts[index] = this.#counts[index]! + 1;
    this.#total += 1;
    if (us > this.#maxUs) this.#maxUs = us;
  }

  get total(): number {
    return this.#total;
  }

  get maxUs(): number {
    return this.#maxUs;
  }

  /**
   * Upper bound of the bucket that the fraction (0 to 1) of all durations lies in or below; 0:
   * none.
   */
  percentileUs(fraction: number): number {
    if (this.#total === 0) return 0;
    let left = Math.max(1, Math.ceil(fraction * this.#total));
    for (let index = 0; index < bucketCount; index += 1) {
      left -= this.#counts[index]!;
      if (left <= 0) return Math.min(this.#maxUs, Math.round(2 ** (index / bucketsPerOctave)));
    }
    return this.#maxUs;
  }
}
