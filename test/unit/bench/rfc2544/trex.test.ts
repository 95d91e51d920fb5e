// rfc2544/trex.test.ts — TRex as a generator: our driver with an imagined TRex, a recorded
// conversation, and which trials count.

import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { frameMix } from '../../../../bench/rfc2544/frames.ts';
import type { Path } from '../../../../bench/rfc2544/path.ts';
import {
  benchTrexFolder,
  type Conversation,
  startDriver,
} from '../../../../bench/rfc2544/trex/conversation.ts';
import { serverConfig } from '../../../../bench/rfc2544/trex/server.ts';
import { type TrexTrial, trialResult } from '../../../../bench/rfc2544/trex/validity.ts';
import { TrexGenerator, trexInstall } from '../../../../bench/rfc2544/trex.ts';
import { type Load, lossOf } from '../../../../bench/rfc2544/trial.ts';
import { requires } from '../../../support/requires.ts';

const fixtures = fileURLToPath(new URL('../../../fixtures', import.meta.url));
const fake = join(fixtures, 'fake-trex');
const end = (at: number) => ({
  ...{ namespace: undefined, device: `dev${at}`, ip: `10.0.0.${at}` },
  ...{ mac: `02:00:00:00:00:0${at}`, nextHopMac: `02:00:00:00:00:0${3 - at}` },
});
const path: Path = { ends: [end(1), end(2)] };
const load: Load = {
  ...{ frames: frameMix('imix'), rate: 10_000, count: 1000, direction: 'both', flows: 100_000 },
};

describe('the driver with an imagined TRex', () => {
  let open: { close(): Promise<void> }[] = [];
  afterEach(async () => {
    for (const one of open) await one.close();
    open = [];
  });
  beforeEach((context) => requires(context, 'command:python3'));

  async function generator(behaviour: string) {
    const driver = await startDriver(fake, undefined);
    open.push(driver);
    return TrexGenerator.connect(driver, behaviour, path);
  }

  test('counts what is sent and received in both directions, and times some of it', async () => {
    const trex = await generator('good');
    expect(trex.version).toBe('v3.08 (net_af_packet)');
    const result = await trex.trial(load);
    expect(result.fault).toBeUndefined();
    expect(result.seconds).toBe(0.1);
    expect(result.counts.map(({ sent, received }) => [sent, received])).toEqual([
      [1000, 1000],
      [1000, 1000],
    ]);
    const [forward] = result.counts;
    // 10 frames are timed: 8 below 10 us, one of 20 to 30, one of 200 to 300.
    expect(forward!.latency).toMatchObject({ count: 10, min: 8, max: 230, jitter: 3 });
    expect(forward!.latency!.buckets).toEqual([
      [10, 8],
      [30, 1],
      [300, 1],
    ]);
    expect(forward!.latency!.average).toBeCloseTo((8 * 9 + 25 + 215) / 10, 6);
    const again = await trex.trial({ ...load, count: 7, rate: 1000, direction: 'forward' });
    expect(again.counts).toMatchObject([{ sent: 7, received: 7, latency: undefined }]);
  });

  test('bounds the greatest time by its bucket where TRex did not see it', async () => {
    const { counts } = await (await generator('unwatched')).trial(load);
    expect(counts[0]!.latency).toMatchObject({ min: 8, max: 300 });
  });

  test('tells loss as loss', async () => {
    const trex = await generator('lossy');
    const result = await trex.trial({ ...load, frames: frameMix('64') });
    expect(result.fault).toBeUndefined();
    expect(lossOf(result)).toBeCloseTo(0.1, 6);
  });

  test.each([
    ['slow', /^TRex took 1\.\d s to send what was to take 0\.1 s: it does not reach 10,000/],
    ['overflowing', 'TRex lost 17 frames in its own receive rings (ierrors).'],
    ['dying', /^The TRex driver \(bench\/trex\/driver\.py\) has ended/],
  ])('a TRex that is %s makes no result', async (behaviour, why) => {
    const trex = await generator(behaviour);
    const said = trex.trial(load).then(
      ({ fault }) => fault,
      (error: Error) => error.message,
    );
    expect(await said).toMatch(why);
  });

  test.each([
    ['unreachable', 'TRex does not answer at unreachable:4501: [RPC] - Failed to get server'],
    ['other-version', 'TRex at other-version:4501 is of another version than its Python API'],
    ['single', 'TRex at single:4501 has 1 port, and wants two.'],
    ['down', 'Port 1 of TRex is down: its link is DOWN.'],
  ])('a TRex that is %s is refused in a sentence', async (behaviour, why) => {
    await expect(generator(behaviour)).rejects.toThrow(why);
  });

  test('a folder without TRex is named', async () => {
    await expect(startDriver(fixtures, undefined)).rejects.toThrow(/fixtures holds no TRex: /);
  });

  test('an interruption ends the trial and the driver', async () => {
    const trex = await generator('good');
    const controller = new AbortController();
    const done = trex.trial({ ...load, count: 300_000 }, controller.signal);
    setTimeout(() => controller.abort(), 50);
    await expect(done).rejects.toThrow('abort');
    await trex.close();
  });
});

interface Exchange {
  readonly command: string;
  readonly details: object;
  readonly answer: unknown;
}

/** Answers as recorded, and only if it is asked as recorded. */
class Recording implements Conversation {
  readonly #exchanges: Exchange[];
  isClosed = false;

  constructor(file: string) {
    const lines = readFileSync(join(fixtures, 'trex', file), 'utf8')
      .trim()
      .split('\n');
    this.#exchanges = lines.map((line) => JSON.parse(line) as Exchange);
  }

  async ask(command: string, details: object): Promise<unknown> {
    const next = this.#exchanges.shift();
    expect({ command, details }).toEqual({ command: next?.command, details: next?.details });
    return next?.answer;
  }

  async close(): Promise<void> {
    this.isClosed = true;
  }
}

describe('a conversation with TRex 3.08, recorded', () => {
  test('is understood', async () => {
    const driver = new Recording('conversation.jsonl');
    const trex = await TrexGenerator.connect(driver, '127.0.0.1', path);
    const plain: Load = { ...load, frames: frameMix('64'), flows: 1, direction: 'forward' };
    const first = await trex.trial({ ...plain, rate: 10_000, count: 50_000 });
    expect(first).toMatchObject({ fault: undefined, seconds: 5 });
    expect(lossOf(first)).toBe(0);
    expect(first.counts[0]).toMatchObject({ sent: 50_000, received: 50_000 });
    expect(first.counts[0]!.latency).toMatchObject({ count: 500 });
    const second = await trex.trial({ ...plain, rate: 2_000_000, count: 6_000_000 });
    expect(second.fault).toMatch(/^TRex took 2\d\.\d s to send what was to take 3\.0 s/);
    expect(second.seconds).toBeGreaterThan(20);
    await trex.close();
    expect(driver.isClosed).toBe(true);
  });
});

describe('a trial counts only if', () => {
  const good: TrexTrial = {
    ...{ elapsed: 10.15, links: ['UP', 'UP'], queueFull: 0, cpu: 3 },
    ports: [1, 2].map(() => ({ opackets: 0, ipackets: 0, oerrors: 0, ierrors: 0 })),
    directions: [{ sent: 100_000, received: 99_000, timed: null }],
  };
  const asked: Load = { ...load, rate: 10_000, count: 100_000, direction: 'forward' };
  const bad = (change: object) => good.ports.map((port) => ({ ...port, ...change }));

  test('all was sent in time and nothing was lost in TRex', () => {
    expect(trialResult(asked, good)).toMatchObject({ fault: undefined, seconds: 10 });
  });

  test.each<[Partial<TrexTrial>, string]>([
    [{ links: ['UP', 'DOWN'] }, 'Port 1 of TRex is down'],
    [{ elapsed: 10.3 }, 'TRex took 10.3 s to send what was to take 10.0 s'],
    [{ directions: [{ sent: 99_000, received: 1, timed: null }] }, 'TRex sent 99,000 of 100,000'],
    [
      { directions: [{ sent: 100_000, received: 100_001, timed: null }] },
      'TRex received 100,001 frames of 100,000 that it sent',
    ],
    [{ ports: bad({ ierrors: 3 }) }, 'TRex lost 6 frames in its own receive rings'],
    [{ ports: bad({ oerrors: 3 }) }, 'TRex could not send 6 frames'],
    [{ queueFull: 4 }, 'TRex found its transmit queue full 4 times'],
  ])('it has not %j', (change, why) => {
    expect(trialResult(asked, { ...good, ...change }).fault).toContain(why);
  });
});

describe('a server of our own', () => {
  test('gets the devices and addresses of the path, and large rings', () => {
    const template = readFileSync(join(benchTrexFolder(), 'cfg', 'afpacket.yaml'), 'utf8');
    const [config] = parse(serverConfig(template, path)) as [Record<string, unknown>];
    expect(config).toMatchObject({ low_end: true, port_limit: 2, version: 2 });
    expect((config.interfaces as string[])[1]).toMatch(/iface=dev2,.*framecnt=32768$/);
    expect(config.port_info).toEqual([
      { src_mac: '02:00:00:00:00:01', dest_mac: '02:00:00:00:00:02' },
      { src_mac: '02:00:00:00:00:02', dest_mac: '02:00:00:00:00:01' },
    ]);
  });

  test('wants a release, which is looked for where releases are', () => {
    const root = mkdtempSync(join(tmpdir(), 'vtep-trex-'));
    try {
      expect(() => trexInstall(join(root, 'nothing'))).toThrow(/there is no folder .*nothing/);
      expect(trexInstall(root)).toBe(root);
    } finally {
      rmSync(root, { recursive: true });
    }
  });
});

test('IPv6 ends are refused', async () => {
  const driver = new Recording('conversation.jsonl');
  const ends = [end(1), { ...end(2), ip: 'fd00::2' }] as const;
  await expect(TrexGenerator.connect(driver, 'x', { ends })).rejects.toThrow('TRex sends IPv4');
  expect(driver.isClosed).toBe(true);
});
