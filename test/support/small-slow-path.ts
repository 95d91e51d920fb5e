// support/small-slow-path.ts — a slow path of a few lines over a datapath in this process, and the
// counters and flows that its tests assert.
//
// Policy is one function from an upcall to a decision. It knows no rules, so that what a test of
// the boundary sees comes from the boundary.

import { loadAddon } from '../../src/datapath/addon.ts';
import { DatapathCounters } from '../../src/datapath/counters.ts';
import { commandKind, flowSlot, limits } from '../../src/datapath/layout.ts';
import { type RegionMemory, regionMemory } from '../../src/datapath/memory.ts';
import type { LocalDatapath, NativeDatapathOptions } from '../../src/datapath/native.ts';
import { CommandWriter } from '../../src/datapath/rings.ts';
import { dropReasonTexts } from '../../src/flow/drop-reasons.ts';
import { field, flowKeyWords, setOnes } from '../../src/flow/key.ts';
import { UpcallReader } from './upcall-reader.ts';

export type Decision =
  | { readonly flow: readonly number[] }
  | { readonly once: readonly number[] }
  | { readonly drop: number }
  | 'retry'
  | 'nothing';

const smallOptions: NativeDatapathOptions = {
  manual: true,
  flowMax: 1024,
  exactMax: 1024,
  connectionMax: 1024,
  smallFrames: 2048,
  largeFrames: 16,
  upcallRingBytes: 1 << 20,
};

export class SmallSlowPath {
  readonly datapath: LocalDatapath;
  readonly memory: RegionMemory;
  readonly counters: DatapathCounters;
  readonly readers: readonly UpcallReader[];
  readonly commands: readonly CommandWriter[];
  decide: (upcall: UpcallReader) => Decision = () => 'nothing';
  #nextSlot = 1;

  constructor(options: NativeDatapathOptions = {}) {
    const addon = loadAddon();
    this.datapath = addon.createDatapath({ ...smallOptions, ...options });
    this.memory = regionMemory(this.datapath.memory);
    this.counters = new DatapathCounters(this.datapath, addon);
    this.readers = this.memory.workers.map(
      (part, worker) => new UpcallReader(this.datapath, worker, part),
    );
    this.commands = this.memory.workers.map(
      (part, worker) => new CommandWriter(this.datapath, worker, part),
    );
  }

  /** Memory ports with these numbers; `uplinks` among them carry tunnel packets. */
  addPorts(numbers: readonly number[], uplinks: readonly number[] = []): void {
    for (const number of numbers) {
      const name = `${process.pid}-${SmallSlowPath.#made++}`;
      this.datapath.addPort({ number, name, kind: 'memory', uplink: uplinks.includes(number) });
    }
  }
  static #made = 0;

  /** Breaths of every worker until none does anything. */
  breathe(): void {
    const workers = Array.from({ length: this.datapath.workerCount }, (_, worker) => worker);
    while (workers.map((worker) => this.datapath.runOnce(worker)).some(Boolean));
  }

  /** Answers what waits; returns the number of upcalls, followers aside. */
  answer(): number {
    let upcalls = 0;
    for (const reader of this.readers) {
      reader.take();
      while (reader.next()) {
        if (reader.follower) {
          reader.answerRetry();
          continue;
        }
        upcalls += 1;
        this.#give(reader, this.decide(reader));
      }
      reader.give();
    }
    return upcalls;
  }

  /** Breathes and answers until nothing waits; returns the upcalls. */
  settle(): number {
    let upcalls = 0;
    for (;;) {
      this.breathe();
      const more = this.answer();
      if (more === 0) return upcalls;
      upcalls += more;
    }
  }

  /** Writes a flow that matches on in_port, tunnel, MACs and type of the key; returns its slot. */
  writeFlow(words: Uint32Array, keyBase: number, actions: readonly number[]): number {
    const slot = this.#nextSlot++;
    const { flows } = this.memory;
    const base = (slot * flowSlot.size) / 4;
    const mask = base + flowSlot.mask / 4;
    flows.set(words.subarray(keyBase, keyBase + flowKeyWords), base + flowSlot.key / 4);
    flows.fill(0, mask, mask + flowKeyWords);
    for (const name of ['in_port', 'tunnel_id', 'eth_src', 'eth_dst', 'eth_type'] as const) {
      setOnes(flows, mask, field[name]);
    }
    flows.set(actions, base + flowSlot.actions / 4);
    flows[base + flowSlot.actionWords / 4] = actions.length;
    flows[base + flowSlot.generation / 4] = 1;
    flows[base + flowSlot.state / 4] = limits.flowLive;
    return slot;
  }

  removeFlow(slot: number): void {
    for (const writer of this.commands) {
      writer.put(commandKind.RemoveFlow, slot, 1);
      writer.give();
    }
  }

  /** Drop counts of a port by reason, zeroes left out. */
  dropsOf(port: number): Record<string, number> {
    return Object.fromEntries(
      dropReasonTexts
        .map(({ name }, reason) => [name, this.counters.drops(port, reason)] as const)
        .filter(([, packets]) => packets !== 0),
    );
  }

  close(): void {
    this.datapath.close();
  }

  #give(reader: UpcallReader, decision: Decision): void {
    if (decision === 'nothing') return;
    if (decision === 'retry') {
      reader.answerRetry();
    } else if ('drop' in decision) {
      reader.answerDrop(decision.drop);
    } else if ('once' in decision) {
      reader.answerOnce(Uint32Array.from(decision.once), decision.once.length);
    } else {
      reader.answerFlow(this.writeFlow(reader.words, reader.keyBase, decision.flow), 1);
    }
  }
}
