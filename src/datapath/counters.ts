// datapath/counters.ts — the datapath's counters, read from shared memory and summed over its
// workers.
//
// Workers count each for themselves; nobody else writes. Reading asks the datapath nothing, so
// `vtepctl top` costs the packets nothing.

import { flowStats, limits } from './layout.ts';
import { type RegionMemory, regionMemory, wideAt } from './memory.ts';
import type { NativeAddon, NativeDatapath } from './native.ts';

export interface FlowCounters {
  readonly packets: number;
  readonly bytes: number;
  /** CLOCK_MONOTONIC of the last packet, ms; 0: none since installation. */
  readonly usedMs: number;
}

type Names = readonly { readonly name: string }[];

export class DatapathCounters {
  readonly #memory: RegionMemory;
  readonly #portNames: Names;
  readonly #workerNames: Names;

  constructor(
    datapath: Pick<NativeDatapath, 'memory'>,
    addon: Pick<NativeAddon, 'portCounters' | 'workerCounters'>,
  ) {
    this.#memory = regionMemory(datapath.memory);
    this.#portNames = addon.portCounters();
    this.#workerNames = addon.workerCounters();
  }

  /** Counters of a port by name, as in base/counters.def. */
  port(number: number): Record<string, number> {
    return this.#named(this.#portNames, (column) =>
      this.#sum('ports', number * limits.portCounterMax + column),
    );
  }

  /** Counters of one worker by name. */
  worker(worker: number): Record<string, number> {
    const words = this.#memory.workers[worker]?.counters ?? new Uint32Array(0);
    return this.#named(this.#workerNames, (column) => wideAt(words, column));
  }

  /** Packets dropped for one reason, by port; port 0 stands for packets that we made. Zeroes are
   * left out. */
  dropsOf(reason: number): { port: number; packets: number }[] {
    const found: { port: number; packets: number }[] = [];
    for (let port = 0; port < limits.portMax; port += 1) {
      const packets = this.#sum('drops', port * limits.dropReasonMax + reason);
      if (packets !== 0) found.push({ port, packets });
    }
    return found;
  }

  /** Packets of one port dropped for one reason. */
  drops(port: number, reason: number): number {
    return this.#sum('drops', port * limits.dropReasonMax + reason);
  }

  flow(slot: number): FlowCounters {
    return { ...carried(this.#memory, slot), usedMs: usedMs(this.#memory, slot) };
  }

  #sum(part: 'ports' | 'drops', cell: number): number {
    let sum = 0;
    for (const worker of this.#memory.workers) sum += wideAt(worker[part], cell);
    return sum;
  }

  #named(names: Names, read: (column: number) => number): Record<string, number> {
    return Object.fromEntries(names.map(({ name }, column) => [name, read(column)]));
  }
}

/** What a flow carried on all workers since installation. */
export function carried(memory: RegionMemory, slot: number): { packets: number; bytes: number } {
  const cell = (slot * flowStats.size) / 8;
  let [packets, bytes] = [0, 0];
  for (const { stats } of memory.workers) {
    packets += wideAt(stats, cell + flowStats.packets / 8);
    bytes += wideAt(stats, cell + flowStats.bytes / 8);
  }
  return { packets, bytes };
}

/** CLOCK_MONOTONIC of the last packet of a flow on any worker, ms; 0: none since installation. */
export function usedMs(memory: RegionMemory, slot: number): number {
  const cell = (slot * flowStats.size + flowStats.usedMs) / 8;
  let latest = 0;
  for (const { stats } of memory.workers) latest = Math.max(latest, wideAt(stats, cell));
  return latest;
}
