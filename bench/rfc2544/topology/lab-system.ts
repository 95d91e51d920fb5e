// bench/rfc2544/topology/lab-system.ts — a system that is built in namespaces, and taken down.
//
// Whatever is built proves itself before it is handed out: frames of the generator's own kind pass
// both ways, all of them. Failing that, everything is taken down and the error says what came.

import { Lab } from '../../../test/support/netns.ts';
import { firstLack, type Need } from '../../../test/support/requires.ts';
import { waitUntil } from '../../../test/support/wait.ts';
import { builtinGenerator } from '../builtin.ts';
import type { Path, ScenarioName, System } from '../path.ts';
import type { Load } from '../trial.ts';

const passTimeoutMs = 20_000;
const probe: Load = {
  frames: { name: 'probe', shares: [{ size: 128, weight: 1 }] },
  rate: 1000,
  count: 50,
  direction: 'both',
  flows: 1,
};

/** Waits until every frame of a small trial passes, both ways. Rejects with what came instead. */
export async function untilFramesPass(path: Path, what: string): Promise<void> {
  const generator = await builtinGenerator(path);
  let last = 'nothing';
  try {
    const pass = async () => {
      const { counts, fault } = await generator.trial(probe);
      last = counts.map(({ sent, received }) => `${received} of ${sent}`).join(' and ');
      if (fault !== undefined) last += ` (${fault})`;
      return fault === undefined && counts.every(({ sent, received }) => sent === received);
    };
    const wanted = () => `${what} to carry frames both ways; of the last ones came ${last}`;
    await waitUntil(pass, { timeoutMs: passTimeoutMs, what: wanted });
  } finally {
    await generator.close();
  }
}

export abstract class LabSystem implements System {
  abstract readonly name: string;
  protected abstract readonly needs: readonly Need[];
  #lab: Lab | undefined;

  abstract version(): Promise<string>;
  protected abstract construct(lab: Lab, scenario: ScenarioName): Promise<Path>;

  /** Of the system that stands; throws when none does. */
  get lab(): Lab {
    if (this.#lab === undefined) throw new Error(`${this.name} is not built`);
    return this.#lab;
  }

  readonly lack = (): string | undefined => firstLack(['root', 'veth', ...this.needs]);

  readonly build = async (scenario: ScenarioName): Promise<Path> => {
    await this.close();
    this.#lab = new Lab();
    try {
      const path = await this.construct(this.#lab, scenario);
      await untilFramesPass(path, `${this.name}, ${scenario},`);
      return path;
    } catch (error) {
      await this.close();
      throw error;
    }
  };

  readonly close = async (): Promise<void> => {
    const lab = this.#lab;
    this.#lab = undefined;
    await lab?.close();
  };
}
