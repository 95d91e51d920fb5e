// bench/rfc2544/extra/restart.ts — vtepd dies and comes back under load: loss is to be 0.
//
// The control process may be killed or upgraded at any time, since its data path goes on. The data
// path itself can only be started anew: what is lost until then is counted beside it.

import { waitUntil } from '../../../test/support/wait.ts';
import { VtepdSystem } from '../topology/vtepd.ts';
import { type Disturbance, disturb } from './disturb.ts';
import type { Extra, ExtraRow, ExtraSetting } from './extra.ts';

const recoveryTimeoutMs = 20_000;

const control: Disturbance = {
  extra: 'restart',
  case: 'every vtepd killed and started',
  act: async (system) => {
    for (const daemon of system.daemons) {
      await daemon.kill9();
      await daemon.start();
    }
    await system.apply(system.document);
  },
};

const datapath: Disturbance = {
  extra: 'restart',
  case: 'a data path killed, vtepd starts another',
  act: async ({ daemons: [daemon] }) => {
    const old = daemon!.datapathPid;
    process.kill(old, 'SIGKILL');
    const recovered = async () => {
      const { datapath } = await daemon!.status();
      return datapath.state === 'attached' && datapath.pid !== old;
    };
    await waitUntil(recovered, { timeoutMs: recoveryTimeoutMs, what: 'a new data path' });
  },
};

async function run(setting: ExtraSetting): Promise<readonly ExtraRow[]> {
  const rows: ExtraRow[] = [];
  for (const system of setting.systems) {
    if (!(system instanceof VtepdSystem)) continue;
    for (const one of [control, datapath]) rows.push(...(await disturb(setting, system, one)));
  }
  return rows;
}

export const restart: Extra = {
  name: control.extra,
  summary: 'vtepd killed and started under load, and its data path too: frames lost',
  run,
};
