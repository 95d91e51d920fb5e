// bench/peers/ours.ts — vtepd's worker and the bare work, as systems among the peers.
//
// Both are programs that live for one round, on the last core, where the peers' threads run too.

import { datapathRound, floorRound } from '../programs.ts';
import type { Cell, Figure, System } from './system.ts';

/** A system that is a program of bench/native, started anew for every round. */
class Program implements System {
  readonly name: string;
  readonly takes: (cell: Cell) => boolean;
  readonly prepareSeconds = 0;
  readonly #round: (cell: Cell, seconds: number) => Promise<Figure>;
  #cell: Cell | undefined;

  constructor(
    name: string,
    takes: (cell: Cell) => boolean,
    round: (cell: Cell, seconds: number) => Promise<Figure>,
  ) {
    this.name = name;
    this.takes = takes;
    this.#round = round;
  }

  async prepare(cell: Cell): Promise<void> {
    this.#cell = cell;
  }

  measure(seconds: number): Promise<Figure> {
    if (this.#cell === undefined) throw new Error(`${this.name} has nothing to measure`);
    return this.#round(this.#cell, seconds);
  }
}

export const vtepd: System = new Program(
  'vtepd',
  () => true,
  (cell, seconds) => datapathRound({ case: cell.case, pcap: cell.pcap, seconds }),
);

/** It has no connections and opens no tunnels. */
export const floor: System = new Program(
  'floor',
  (cell) => cell.case === 'encap',
  (cell, seconds) => floorRound({ pcap: cell.pcap, seconds }),
);
