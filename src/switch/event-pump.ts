// switch/event-pump.ts — empties the event rings of all workers and hands each event on.
//
// One reader per ring, since reading gives the bytes back; who wants which kind of event is decided
// by the switch. Works in turns, so that a flood of captures keeps upcalls waiting for a moment
// only.

import { type DatapathEvent, readEvents } from '../datapath/events.ts';
import { type RegionMemory, regionMemory } from '../datapath/memory.ts';
import type { NativeDatapath } from '../datapath/native.ts';

/** Turns of one drain: then it is others' turn. */
const drainRoundsMax = 8;

export class EventPump {
  readonly #take: (event: DatapathEvent) => void;
  #native: NativeDatapath | undefined;
  #memory: RegionMemory | undefined;

  constructor(take: (event: DatapathEvent) => void) {
    this.#take = take;
  }

  /** Another data path, or none. */
  attach(native: NativeDatapath | undefined): void {
    this.#native = native;
    this.#memory = native === undefined ? undefined : regionMemory(native.memory);
  }

  /**
   * Drains the event rings of all workers. A worker rings only when we had read everything before,
   * so what came while we read must be looked for: nobody would tell of it any more.
   */
  drain(): void {
    const native = this.#native;
    if (native === undefined) return;
    let more = false;
    for (const [worker, memory] of (this.#memory?.workers ?? []).entries()) {
      let rounds = 0;
      let events = readEvents(native, worker, memory);
      while (events.length > 0) {
        for (const event of events) this.#take(event);
        rounds += 1;
        if (rounds === drainRoundsMax) break;
        events = readEvents(native, worker, memory);
      }
      if (rounds === drainRoundsMax) more = true;
    }
    // Readers and upcalls have their turn between.
    if (more) setImmediate(() => this.#drainAgain(native));
  }

  #drainAgain(native: NativeDatapath): void {
    if (this.#native === native) this.drain();
  }
}
