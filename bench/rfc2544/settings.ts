// bench/rfc2544/settings.ts — what a run measures, for how long, and how exactly.
//
// A preset gives all of it, options change single things. The settings are part of every report.

import { extras } from './extras.ts';
import { frameMix } from './frames.ts';
import { type ScenarioName, scenarioNames } from './path.ts';
import type { FrameMix } from './trial.ts';

export const methodNames = ['throughput', 'loss', 'latency', 'back-to-back'] as const;
export type MethodName = (typeof methodNames)[number];
export type Direction = 'forward' | 'both';

export interface Settings {
  readonly preset: string;
  readonly frames: readonly FrameMix[];
  readonly scenarios: readonly ScenarioName[];
  /** By name, or what a family of names begins with; empty: all that this machine can run. */
  readonly systems: readonly string[];
  readonly directions: readonly Direction[];
  readonly methods: readonly MethodName[];
  /** Allowed losses, 0 to 1, ascending. */
  readonly losses: readonly number[];
  /** Width of the last bracket of a search, as a share of the rate. */
  readonly resolution: number;
  /** Seconds of the trials that decide, and of the first ones of a search. */
  readonly seconds: number;
  readonly firstSeconds: number;
  /** Trials that decide on a rate, by majority. */
  readonly votes: number;
  /** Searches for each figure; from three on the highest and the lowest are left out. */
  readonly rounds: number;
  /** Before each method, and between trials (RFC 2544, 23), in seconds. */
  readonly warmUpSeconds: number;
  readonly pauseSeconds: number;
  /** Distinct 5-tuples in each direction. */
  readonly flows: number;
  /** Loads of the latency trials, as shares of the throughput. */
  readonly latencyLoads: readonly number[];
  /** Bursts that the back-to-back value is the average of. */
  readonly bursts: number;
  /** The line that rates are compared with, in Gbit/s; no rate above it is tried. */
  readonly lineGbits: number;
  /** Asked after the methods, by name. */
  readonly extras: readonly string[];
  /** How long an extra loads a system, and with how many frames a second in each direction. */
  readonly extraSeconds: number;
  readonly extraRate: number | undefined;
  /** No rate below it is tried, in frames a second. */
  readonly lowest: number;
}

const standard: Settings = {
  preset: 'standard',
  frames: ['64', '512', '1518', 'imix'].map(frameMix),
  scenarios: scenarioNames,
  systems: [],
  directions: ['both'],
  methods: methodNames,
  losses: [0, 0.005],
  ...{ resolution: 0.005, seconds: 10, firstSeconds: 1, votes: 1, rounds: 3 },
  ...{ warmUpSeconds: 1, pauseSeconds: 0.2, flows: 1 },
  ...{ latencyLoads: [0.1, 0.5, 0.9, 1], bursts: 10 },
  ...{ lineGbits: 10, lowest: 1000 },
  ...{ extras: [], extraSeconds: 10, extraRate: undefined },
};

export const presets: readonly { readonly summary: string; readonly settings: Settings }[] = [
  {
    summary: 'a minute, one size, one scenario, only vtepd: its figures mean little',
    settings: {
      ...standard,
      preset: 'quick',
      frames: [frameMix('64')],
      scenarios: ['across-hosts-same-subnet'],
      systems: ['vtepd-af-packet'],
      losses: [0, 0.01],
      ...{ resolution: 0.1, seconds: 0.5, firstSeconds: 0.2, rounds: 1 },
      ...{ warmUpSeconds: 0.2, pauseSeconds: 0, latencyLoads: [0.5], bursts: 1, extraSeconds: 5 },
    },
  },
  { summary: 'all methods, trials of 10 s, 3 rounds, 0.5 %', settings: standard },
  {
    summary: "RFC 2544's own: all seven sizes and imix, all methods, trials of 60 s, 0.1 %",
    settings: {
      ...standard,
      preset: 'full',
      frames: ['64', '128', '256', '512', '1024', '1280', '1518', 'imix'].map(frameMix),
      losses: [0, 0.005, 0.01],
      ...{ resolution: 0.001, seconds: 60, rounds: 5, warmUpSeconds: 5, pauseSeconds: 2 },
      ...{ bursts: 50, extraSeconds: 60 },
    },
  },
  {
    summary: "the NVE paper's: throughput, 5 rounds of 180 s, 64, mix and 1518, 0.1 %, 1 % loss",
    settings: {
      ...standard,
      preset: 'paper',
      frames: ['64', '1518', 'paper'].map(frameMix),
      methods: ['throughput'],
      losses: [0.01],
      ...{ resolution: 0.001, seconds: 180, firstSeconds: 2, rounds: 5 },
      ...{ warmUpSeconds: 5, pauseSeconds: 2 },
    },
  },
];

/** What may be said on the command line; undefined: as the preset has it. */
export type Wanted = Readonly<Partial<Record<keyof typeof optionSummaries, string>>>;

/** Options that change settings, with their lines of help. */
export const optionSummaries = {
  preset: `P: ${presets.map(({ settings }) => settings.preset).join(', ')}`,
  frames: 'A,B: sizes in bytes with FCS, imix, paper',
  scenario: `A,B: of ${scenarioNames.join(', ')}`,
  system: 'A,B: systems under test: vtepd is all vtepd-…',
  direction: 'forward, both, or forward,both',
  methods: `A,B: of ${methodNames.join(', ')}`,
  loss: 'A,B: allowed losses in percent: 0,0.5,1',
  resolution: 'P: of the search, in percent of the rate: 0.1',
  votes: 'N: trials that decide on a rate, by majority',
  'warm-up': 'S: seconds before each method',
  extras: `A,B: of ${extras.map(({ name }) => name).join(', ')}; loaded with half the throughput`,
  'extra-seconds': 'S: how long each extra loads a system: 10',
  'extra-rate': 'R: frames a second in each direction, in place of half the throughput',
  'line-rate': 'G: Gbit/s of the line that rates are compared with: 10',
} as const;

const extraNames = extras.map(({ name }) => name);

function numbersOf(text: string, option: string, least: number, most: number): number[] {
  return text.split(',').map((part) => {
    const value = Number(part);
    const isRight = part.trim() !== '' && value >= least && value <= most;
    if (isRight) return value;
    throw new Error(`--${option} ${text}: wants numbers from ${least} to ${most}`);
  });
}

function namesOf<Name extends string>(
  text: string,
  option: string,
  known: readonly Name[],
): readonly Name[] {
  return text.split(',').map((part) => {
    const found = known.find((name) => name === part);
    if (found !== undefined) return found;
    throw new Error(`--${option} ${text}: no ${part}; there are ${known.join(', ')}`);
  });
}

/** What was asked for beside the options of this file. */
export interface Common {
  readonly quick: boolean;
  readonly rounds: number | undefined;
  readonly seconds: number | undefined;
  readonly flows: number | undefined;
}

function presetOf(name: string): Settings {
  const names = presets.map(({ settings }) => settings.preset);
  namesOf(name, 'preset', names);
  return presets.find(({ settings }) => settings.preset === name)!.settings;
}

/** The settings of a preset as the options change them; throws with the option that is wrong. */
export function settingsOf(wanted: Wanted, common: Common): Settings {
  const preset = presetOf(wanted.preset ?? (common.quick ? 'quick' : 'standard'));
  const one = (option: keyof typeof optionSummaries, usual: number, from: number, to: number) => {
    const text = wanted[option];
    return text === undefined ? usual : numbersOf(text, option, from, to)[0]!;
  };
  const list = <Value>(option: keyof typeof optionSummaries, read: (text: string) => Value) => {
    const text = wanted[option];
    return text === undefined ? undefined : read(text);
  };
  const losses = list('loss', (text) => numbersOf(text, 'loss', 0, 50));
  const seconds = common.seconds ?? preset.seconds;
  return {
    ...preset,
    frames: list('frames', (text) => text.split(',').map(frameMix)) ?? preset.frames,
    scenarios:
      list('scenario', (text) => namesOf(text, 'scenario', scenarioNames)) ?? preset.scenarios,
    systems: list('system', (text) => text.split(',')) ?? preset.systems,
    directions:
      list('direction', (text) => namesOf(text, 'direction', ['forward', 'both'])) ??
      preset.directions,
    methods: list('methods', (text) => namesOf(text, 'methods', methodNames)) ?? preset.methods,
    losses: losses?.map((loss) => loss / 100).sort((a, b) => a - b) ?? preset.losses,
    resolution: one('resolution', preset.resolution * 100, 0.001, 50) / 100,
    votes: one('votes', preset.votes, 1, 99),
    warmUpSeconds: one('warm-up', preset.warmUpSeconds, 0, 600),
    lineGbits: one('line-rate', preset.lineGbits, 0.001, 10_000),
    extras: list('extras', (text) => namesOf(text, 'extras', extraNames)) ?? preset.extras,
    extraSeconds: one('extra-seconds', preset.extraSeconds, 1, 1_000_000),
    extraRate: list('extra-rate', (text) => numbersOf(text, 'extra-rate', 1, 1e9)[0]),
    rounds: common.rounds ?? preset.rounds,
    seconds,
    firstSeconds: Math.min(preset.firstSeconds, seconds),
    flows: common.flows ?? preset.flows,
  };
}
