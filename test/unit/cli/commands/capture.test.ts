// cli/commands/capture.test.ts — lines for people, pcapng for tshark.

import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeEach, describe, expect, it } from 'vitest';
import { lostPackets } from '../../../../src/control/pcapng.ts';
import { twoPackets } from '../../control/fake-switch.ts';
import { servedCtl } from '../served-ctl.ts';

const served = servedCtl();
beforeEach(() => {
  served.api.capturePieces = twoPackets();
  served.api.captures = [];
});

async function pcapng(): Promise<Buffer> {
  const pieces: Uint8Array[] = [];
  for await (const piece of twoPackets()) pieces.push(piece);
  return Buffer.concat(pieces);
}

describe('vtepctl capture', () => {
  it('prints a line for every packet', async () => {
    expect(await served.text('capture', 'c1', '-c', '5', '--seconds', '9')).toMatchSnapshot();
    expect(served.api.captures).toEqual([{ port: 'c1', count: 5, seconds: 9 }]);
  });

  it('prints a JSON object for every packet', async () => {
    const lines = (await served.text('capture', '-o', 'json')).trimEnd().split('\n');
    expect(lines.map((line) => JSON.parse(line).verdict)).toEqual([
      'output to c2',
      'dropped: unknown_mac',
    ]);
    expect(served.api.captures).toEqual([{}]);
  });

  it('writes pcapng to standard output', async () => {
    const { code, bytes, stderr } = await served.ctl(['capture', '-w', '-']);
    expect([code, stderr]).toEqual([0, '']);
    expect(bytes).toEqual(await pcapng());
  });

  it('writes pcapng to a file and says how much', async () => {
    const file = join(served.directory, 'x.pcapng');
    const { code, stdout, stderr } = await served.ctl(['capture', '-w', file]);
    expect([code, stdout, stderr]).toEqual([0, '', `2 packets written to ${file}\n`]);
    expect(readFileSync(file)).toEqual(await pcapng());
  });

  it('leaves no file behind when the port does not exist', async () => {
    const file = join(served.directory, 'none.pcapng');
    const { code } = await served.ctl(['capture', 'nosuch', '-w', file]);
    expect([code, existsSync(file)]).toEqual([5, false]);
  });

  it('names a file that cannot be written', async () => {
    const { code, stderr } = await served.ctl(['capture', '-w', '/nonexistent/x']);
    expect(code).toBe(2);
    expect(stderr).toContain('cannot write /nonexistent/x (ENOENT)');
  });

  it('says how many packets are missing', async () => {
    async function* withLoss() {
      yield* twoPackets();
      yield lostPackets(7, 1n);
    }
    served.api.capturePieces = withLoss();
    const { stderr } = await served.ctl(['capture']);
    expect(stderr).toBe('vtepctl: 7 packets missing: we were too slow\n');
  });

  it('ends well by Ctrl-C, with the file whole', async () => {
    async function* endless() {
      yield* twoPackets();
      await new Promise(() => undefined);
    }
    served.api.capturePieces = endless();
    const stop = new AbortController();
    const onStdout = (text: string) => {
      if (text.split('\n').length > 2) stop.abort();
    };
    const { code, stdout } = await served.ctl(['capture'], { signal: stop.signal, onStdout });
    expect([code, stdout.split('\n').length]).toEqual([0, 3]);
  });
});
