// bench/rfc2544/path.ts — what is tested: two ends, and a system that carries frames between them.
//
// A system builds a scenario and says where a generator attaches; whether vtepd, a peer or a bare
// wire is between the ends, the generator cannot tell. Taking down is the builder's: labs do it.

/** Where a generator sends and receives. */
export interface End {
  /** Network namespace of the device; undefined: the one this process is in. */
  readonly namespace: string | undefined;
  readonly device: string;
  readonly mac: string;
  /** Address in text, IPv4 or IPv6, that frames to this end carry. */
  readonly ip: string;
  /** Destination MAC of frames sent here: the other end's, or its gateway's across subnets. */
  readonly nextHopMac: string;
}

/** Two ends: forward is from the first to the second. */
export interface Path {
  readonly ends: readonly [End, End];
}

/** The four of the NVE paper (its figures 3 and 4), and the generator with itself. */
export const scenarioNames = [
  'same-host-same-subnet',
  'same-host-different-subnets',
  'across-hosts-same-subnet',
  'across-hosts-different-subnets',
] as const;
export type ScenarioName = (typeof scenarioNames)[number];

/** A system under test in one scenario. */
export interface System {
  readonly name: string;
  /** Those that it has; undefined: all of them. */
  readonly scenarios?: readonly ScenarioName[];
  /** The reason why this machine cannot run it, and the remedy; undefined when it can. */
  readonly lack: () => string | undefined;
  readonly version: () => Promise<string>;
  /** Builds it, waits until frames pass both ways, and tells its ends. */
  readonly build: (scenario: ScenarioName) => Promise<Path>;
  /** Takes down what build made; harmless when it made nothing. */
  readonly close: () => Promise<void>;
}
