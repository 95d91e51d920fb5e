// slowpath/fake-datapath.ts — a datapath of a few arrays: rings, flow slots, and workers that obey.
//
// The workers do by hand what native/datapath does by thread: they install copies of slots, answer
// packets from their flows (newest first), ask about the rest, execute verdicts and commands in
// order, and complain about a verdict that names no live flow.

import { flowKeyWords } from '../../../src/flow/key.ts';
import {
  commandKind,
  type DatapathPort,
  type FlowMemory,
  flowLive,
  flowSlotWords,
  flowWord,
  recordKind,
  upcallReason,
  upcallWord,
  verdictKind,
  type WorkerPort,
} from '../../../src/slowpath/datapath-port.ts';

const recordBytes = 256 + 64;

export interface InstalledFlow {
  readonly slot: number;
  readonly generation: number;
  readonly key: Uint32Array;
  readonly mask: Uint32Array;
  readonly actions: Uint32Array;
}

/**
 * What became of a packet: actions of a flow or of a one-shot verdict, or a drop, or nothing yet.
 */
export interface Outcome {
  readonly kind: 'flow' | 'once' | 'drop' | 'retry' | 'none';
  readonly actions: Uint32Array;
  readonly reason: number;
}

export class FakeWorker implements WorkerPort {
  readonly upcalls: Uint32Array;
  /** Newest last. */
  readonly flows: InstalledFlow[] = [];
  readonly complaints: string[] = [];
  readonly outcomes: Outcome[] = [];
  readonly #memory: FakeFlowMemory;
  #produced = 0;
  #answered = 0;
  #executed = 0;
  #commands: [kind: number, slot: number, generation: number][] = [];
  #written = 0;
  #given = 0;
  #done = 0;
  commandCapacity = 1024;
  readonly sent: [kind: number, slot: number][] = [];

  constructor(memory: FakeFlowMemory, ringBytes: number, start = 0) {
    this.#memory = memory;
    this.upcalls = new Uint32Array(ringBytes / 4);
    this.#produced = start;
    this.#answered = start;
    this.#executed = start;
  }

  takeUpcalls(): number {
    return (this.#produced - this.#answered) >>> 0;
  }

  giveVerdicts(bytes: number): void {
    this.#answered = (this.#answered + bytes) >>> 0;
  }

  answeredCursor(): number {
    return this.#answered;
  }

  executedCursor(): number {
    return this.#executed;
  }

  commandRoom(): number {
    return this.commandCapacity - ((this.#written - this.#done) >>> 0) / 64;
  }

  putCommand(kind: number, slot: number, generation: number): void {
    if (this.commandRoom() < 1) throw new Error('no room for a command');
    this.#commands.push([kind, slot, generation]);
    this.sent.push([kind, slot]);
    this.#written = (this.#written + 64) >>> 0;
  }

  giveCommands(): void {
    this.#given = this.#written;
  }

  commandCursor(): number {
    return this.#given;
  }

  doneCursor(): number {
    return this.#done;
  }

  /** Puts a question into the ring; false when it is full. */
  ask(
    key: Uint32Array,
    kind: number = recordKind.Upcall,
    reason: number = upcallReason.Miss,
  ): boolean {
    const capacity = this.upcalls.length * 4;
    const place = this.#produced & (capacity - 1);
    const pad = place + recordBytes > capacity ? capacity - place : 0;
    const used = (this.#produced - this.#executed) >>> 0;
    if (used + pad + recordBytes > capacity) return false;
    if (pad > 0) {
      this.upcalls[place / 4] = pad;
      this.upcalls[place / 4 + upcallWord.kind] = recordKind.Pad;
      this.#produced = (this.#produced + pad) >>> 0;
    }
    const at = (this.#produced & (capacity - 1)) / 4;
    this.upcalls.fill(0, at, at + recordBytes / 4);
    this.upcalls[at] = recordBytes;
    this.upcalls[at + upcallWord.kind] = kind;
    this.upcalls[at + upcallWord.reason] = reason;
    for (let word = 0; word < flowKeyWords; word += 1) {
      this.upcalls[at + upcallWord.key + word] = key[word]!;
    }
    this.#produced = (this.#produced + recordBytes) >>> 0;
    return true;
  }

  /** A packet: answered by the newest flow that matches, or asked about. */
  packet(key: Uint32Array, nowMs: number): InstalledFlow | undefined {
    const flow = this.flows.findLast((entry) =>
      entry.mask.every((mask, word) => (mask & key[word]!) >>> 0 === entry.key[word]),
    );
    if (flow === undefined) this.ask(key);
    else this.#memory.used[flow.slot] = nowMs;
    return flow;
  }

  /** Executes the verdicts given so far. */
  executeVerdicts(): void {
    const capacity = this.upcalls.length * 4;
    while (this.#executed !== this.#answered) {
      const at = (this.#executed & (capacity - 1)) / 4;
      const length = this.upcalls[at]!;
      if (this.upcalls[at + upcallWord.kind] !== recordKind.Pad) this.#execute(at);
      this.#executed = (this.#executed + length) >>> 0;
    }
  }

  #execute(at: number): void {
    const word = (offset: number) => this.upcalls[at + offset]!;
    const kind = word(upcallWord.verdictKind);
    const outcome = (name: Outcome['kind'], actions: Uint32Array = new Uint32Array(), reason = 0) =>
      this.outcomes.push({ kind: name, actions, reason });
    if (kind === verdictKind.Flow) {
      const slot = word(upcallWord.verdictFlow);
      this.#install(slot, word(upcallWord.verdictGeneration));
      outcome('flow', this.flows.find((flow) => flow.slot === slot)?.actions);
    } else if (kind === verdictKind.Once) {
      const start = at + upcallWord.inlineActions;
      outcome('once', this.upcalls.slice(start, start + word(upcallWord.inlineCount)));
    } else if (kind === verdictKind.Drop) {
      outcome('drop', new Uint32Array(), word(upcallWord.verdictReason));
    } else {
      outcome(kind === verdictKind.Retry ? 'retry' : 'none');
    }
  }

  /** Does the commands given so far, at most `limit`. */
  doCommands(limit = Number.POSITIVE_INFINITY): void {
    let left = limit;
    while (this.#done !== this.#given && left > 0) {
      const [kind, slot, generation] = this.#commands.shift()!;
      if (kind === commandKind.InstallFlow) this.#install(slot, generation);
      else this.#remove(slot, generation);
      this.#done = (this.#done + 64) >>> 0;
      left -= 1;
    }
  }

  #install(slot: number, generation: number): void {
    if (this.flows.some((flow) => flow.slot === slot && flow.generation === generation)) return;
    const at = slot * flowSlotWords;
    const { slots } = this.#memory;
    const live = slots[at] === flowLive && slots[at + flowWord.generation] === generation;
    if (!live || slot === 0) {
      this.complaints.push(`flow ${slot} generation ${generation} is not live`);
      return;
    }
    const old = this.flows.findIndex((flow) => flow.slot === slot);
    if (old >= 0) this.flows.splice(old, 1);
    const copy = (offset: number, count: number) => slots.slice(at + offset, at + offset + count);
    this.flows.push({
      slot,
      generation,
      key: copy(flowWord.key, flowKeyWords),
      mask: copy(flowWord.mask, flowKeyWords),
      actions: copy(flowWord.actions, slots[at + flowWord.actionWords]!),
    });
    this.#memory.used[slot] = 0;
  }

  #remove(slot: number, generation: number): void {
    const index = this.flows.findIndex(
      (flow) => flow.slot === slot && flow.generation === generation,
    );
    if (index >= 0) this.flows.splice(index, 1);
  }
}

export class FakeFlowMemory implements FlowMemory {
  readonly slots: Uint32Array;
  readonly count: number;
  readonly used: Float64Array;
  readonly carriedBy = new Map<number, { packets: number; bytes: number }>();

  constructor(count: number) {
    this.count = count;
    this.slots = new Uint32Array(count * flowSlotWords);
    this.used = new Float64Array(count);
  }

  carried(slot: number): { packets: number; bytes: number } {
    return this.carriedBy.get(slot) ?? { packets: 0, bytes: 0 };
  }

  usedMs(slot: number): number {
    return this.used[slot]!;
  }
}

export interface FakeOptions {
  readonly workers?: number;
  readonly flows?: number;
  readonly ringBytes?: number;
  /** Where the cursors of the rings start: near 2^32 to see them wrap. */
  readonly start?: number;
}

export class FakeDatapath implements DatapathPort {
  readonly workers: FakeWorker[];
  readonly flows: FakeFlowMemory;

  constructor(options: FakeOptions = {}) {
    const { workers = 1, flows = 64, ringBytes = 1 << 16, start = 0 } = options;
    this.flows = new FakeFlowMemory(flows);
    this.workers = Array.from(
      { length: workers },
      () => new FakeWorker(this.flows, ringBytes, start),
    );
  }

  /** Workers do everything that they were given. */
  obey(): void {
    for (const worker of this.workers) {
      worker.executeVerdicts();
      worker.doCommands();
    }
  }
}
