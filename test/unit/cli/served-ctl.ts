// cli/served-ctl.ts — vtepctl against a fake switch that serves for one test file.

import { afterAll, beforeAll } from 'vitest';
import { documentText, type FakeSwitch, type Served, serveFake } from '../control/fake-switch.ts';
import { type RunOptions, runVtepctl } from './run-vtepctl.ts';

/** Registers set-up and clean-up with the test file; the switch has a document when asked. */
export function servedCtl({ hasDocument = true } = {}) {
  let served: Served;
  beforeAll(async () => {
    served = await serveFake();
    if (hasDocument) await served.api.apply(documentText, 'net.yaml');
  });
  afterAll(() => served.close());
  const ctl = (argv: readonly string[], options: RunOptions = {}) =>
    runVtepctl(['--socket', served.socket, ...argv], options);
  return {
    ctl,
    /** Standard output of a command line that must succeed. */
    async text(...argv: string[]): Promise<string> {
      const { code, stdout, stderr } = await ctl(argv);
      if (code !== 0) throw new Error(`vtepctl ${argv.join(' ')}: ${stderr}`);
      return stdout;
    },
    async json(...argv: string[]) {
      return JSON.parse(await this.text(...argv, '-o', 'json'));
    },
    get api(): FakeSwitch {
      return served.api;
    },
    get socket(): string {
      return served.socket;
    },
    get directory(): string {
      return served.directory;
    },
  };
}
