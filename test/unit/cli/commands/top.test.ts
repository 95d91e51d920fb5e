// cli/commands/top.test.ts — rates from two readings.

import { describe, expect, it } from 'vitest';
import { ratesBetween } from '../../../../src/cli/commands/top.ts';
import type { TopView } from '../../../../src/control/switch-api.ts';
import { FakeSwitch } from '../../control/fake-switch.ts';
import { servedCtl } from '../served-ctl.ts';

const served = servedCtl();

describe('vtepctl top', () => {
  it('--once is one table of rates', async () => {
    expect(await served.text('top', '--once', '--interval', '10')).toMatchSnapshot();
  });

  it('--count gives so many readings, one a line for scripts', async () => {
    const text = await served.text('top', '--count', '2', '--interval', '10', '-o', 'json');
    const readings = text
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line));
    expect(readings).toHaveLength(2);
    expect(readings[0].rates.ports[0]).toMatchObject({ port: 'c1', rates: { rx_packets: 1500 } });
    expect(readings[1].ports[0].counters.rx_packets).toBeGreaterThan(0);
  });

  it('wipes a terminal between tables', async () => {
    const { stdout } = await served.ctl(['top', '--once', '--interval', '10'], { isTTY: true });
    expect(stdout.startsWith('\u001b[H\u001b[2J')).toBe(true);
  });
});

describe('rates', () => {
  it('are never negative, and nothing for what is new', () => {
    const api = new FakeSwitch();
    const before = api.top();
    const port = { ...before.ports[0]!, counters: { rx_packets: 10, drops: 5 } };
    const fresh = { ...port, number: 9 };
    const now: TopView = { ...before, timeMs: before.timeMs + 500, ports: [port, fresh] };
    const { seconds, ports } = ratesBetween(before, now);
    expect(seconds).toBe(0.5);
    expect(ports[0]?.rates).toEqual({ rx_packets: 0, drops: 10 });
    expect(ports[1]?.rates).toEqual({ rx_packets: 0, drops: 0 });
  });
});
