// slowpath/flow-changes.ts — flows that go or are replaced, until every worker has done it.
//
//   Who        Change                                            When
//   retire     flow unlinked, change waits                       a flow expired, or is wrong
//   pump       waits → sent: install new, then remove old        verdicts given before are executed
//   pump       sent → gone: slot free                            every worker has done the commands
//
// A verdict that names a flow may still lie in an upcall ring when the flow is retired; would its
// removal be done first, the worker would install the flow afterwards and keep it for ever. So the
// commands wait until all verdicts given before have been executed. Install and remove of one
// change are handed over together, the new flow first, so that no packet misses in between.

import { commandKind, type DatapathPort, reached, type WorkerPort } from './datapath-port.ts';
import type { FlowStore } from './flow-store.ts';

/** Changes that were retired at the same time. */
interface Batch {
  /** Slot to remove, slot to install or 0, and so on. */
  readonly pairs: number[];
  /** Entries of `pairs` that each worker was sent. */
  readonly sent: number[];
  /** By worker: verdicts that must be executed first, then commands that must be done. */
  readonly verdicts: number[];
  readonly commands: number[];
}

export class FlowChanges {
  readonly #workers: readonly WorkerPort[];
  readonly #store: FlowStore;
  #open: number[] = [];
  readonly #batches: Batch[] = [];

  constructor(datapath: DatapathPort, store: FlowStore) {
    this.#workers = datapath.workers;
    this.#store = store;
  }

  /** Flows that are still to be removed or confirmed. */
  get pending(): number {
    return this.#batches.reduce(
      (sum, batch) => sum + batch.pairs.length / 2,
      this.#open.length / 2,
    );
  }

  /** The flow goes; `successor` (0: none) takes its packets. Nothing is sent before pump(). */
  retire(slot: number, successor = 0): void {
    this.#store.unlink(slot);
    this.#open.push(slot, successor);
  }

  /** Sends what may be sent and frees what is done. Call after each round of work. */
  pump(): void {
    this.#close();
    for (const batch of this.#batches) this.#send(batch);
    while (this.#batches[0] !== undefined && this.#done(this.#batches[0])) {
      const { pairs } = this.#batches.shift()!;
      for (let index = 0; index < pairs.length; index += 2) this.#store.free(pairs[index]!);
    }
  }

  #close(): void {
    if (this.#open.length === 0) return;
    this.#batches.push({
      pairs: this.#open,
      sent: this.#workers.map(() => 0),
      verdicts: this.#workers.map((worker) => worker.answeredCursor()),
      commands: this.#workers.map(() => 0),
    });
    this.#open = [];
  }

  #send(batch: Batch): void {
    const executed = this.#workers.every((worker, index) =>
      reached(worker.executedCursor(), batch.verdicts[index]!),
    );
    if (!executed) return;
    for (const [index, worker] of this.#workers.entries()) {
      const first = batch.sent[index]!;
      if (first === batch.pairs.length) continue;
      batch.sent[index] = this.#put(worker, batch.pairs, first);
      worker.giveCommands();
      batch.commands[index] = worker.commandCursor();
    }
  }

  /**
   * Writes commands while there is room for a pair; returns the first entry that was not written.
   */
  #put(worker: WorkerPort, pairs: readonly number[], first: number): number {
    let index = first;
    let room = worker.commandRoom();
    while (index < pairs.length && room >= 2) {
      const old = pairs[index]!;
      const successor = pairs[index + 1]!;
      // A successor may have been retired itself in the meantime; then it must not come back.
      if (successor !== 0 && this.#store.isLinked(successor)) {
        worker.putCommand(commandKind.InstallFlow, successor, this.#store.generation(successor));
      }
      worker.putCommand(commandKind.RemoveFlow, old, this.#store.generation(old));
      room -= 2;
      index += 2;
    }
    return index;
  }

  #done(batch: Batch): boolean {
    return this.#workers.every(
      (worker, index) =>
        batch.sent[index] === batch.pairs.length &&
        reached(worker.doneCursor(), batch.commands[index]!),
    );
  }
}
