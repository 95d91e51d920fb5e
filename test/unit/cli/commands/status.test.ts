// cli/commands/status.test.ts — the state at a glance.

import { PassThrough, Readable } from 'node:stream';
import { describe, expect, it } from 'vitest';
import { renderStatus } from '../../../../src/cli/commands/status.ts';
import { FakeSwitch } from '../../control/fake-switch.ts';
import { servedCtl } from '../served-ctl.ts';

const served = servedCtl();
const { signal } = new AbortController();
const stdin = Readable.from([]);
const io = { stdout: new PassThrough(), stderr: new PassThrough(), stdin, env: {}, signal };

describe('vtepctl status', () => {
  it('is a list that ends in warnings', () => {
    const api = new FakeSwitch();
    api.warnings = ['port c1: there is no device veth1'];
    const status = api.status();
    const text = renderStatus(io, status, status.startedMs + 3_725_000);
    expect(text).toMatchSnapshot();
    expect(text.endsWith('warning: port c1: there is no device veth1\n')).toBe(true);
  });

  it('leaves out what never happened', () => {
    const status = new FakeSwitch().status();
    const datapath = { ...status.datapath, restarts: 0, reconciled: null };
    const text = renderStatus(io, { ...status, datapath }, status.startedMs);
    expect(text).not.toMatch(/restarts|taken over/);
  });

  it('is the whole answer for scripts', async () => {
    expect(await served.json('status')).toEqual(served.api.status());
  });

  it('has colours on a terminal', async () => {
    const { stdout } = await served.ctl(['status'], { isTTY: true });
    expect(stdout).toContain('\u001b[32mattached\u001b[0m');
  });
});
