// bench/peers/system.ts — what the peers bench wants of every system that takes part.
//
// Systems take turns on one core, so each rests while another is measured, and what was built for a
// cell (tables, ports, flows) is kept over its rounds.

/** One line of the comparison: the same packets and the same policy for every system. */
export interface Cell {
  /** encap, encap-stateful, decap or decap-stateful. */
  readonly case: string;
  readonly flows: number;
  /** The packets, one per flow: what every system replays for ever. */
  readonly pcap: string;
}

export interface Figure {
  /** TSC cycles per packet. */
  readonly cycles: number;
  readonly mpps: number;
}

export interface System {
  readonly name: string;
  /** Whether the system has this case with so many flows. */
  readonly takes: (cell: Cell) => boolean;
  /** Seconds that prepare() will take, for the time left. */
  readonly prepareSeconds: number;
  readonly prepare: (cell: Cell) => Promise<void>;
  /** One round. Throws when packets went another way than the one that is measured. */
  readonly measure: (seconds: number) => Promise<Figure>;
}

/** A system that runs beside us, with what must be undone. */
export interface Peer extends System {
  readonly version: string;
}
