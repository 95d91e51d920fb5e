// switch/document-store.ts — what was applied, on disk: a restarted vtepd knows what to want.
//
// One file, written whole and renamed: revision, document, and the numbers that names have in the
// data path. A failed write refuses the apply before anything has been touched. A directory that
// cannot be written is told at start: with a document in it the host goes on with that, since a
// full disk is no reason to be without network after a reboot; without one there is no point in
// starting.

import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { prepareDirectory, readFileIfExists, writeFileAtomic } from '../lib/atomic-file.ts';
import { renderProblem, SwitchError } from '../lib/errors.ts';
import { type Document, emptyDocument } from '../model/document.ts';
import { documentFromValue } from '../model/parse.ts';
import type { NumberSnapshot } from '../rules/numbering.ts';

export interface StoredState {
  /** Counts changes of the document on this host; 0: none yet. */
  readonly revision: number;
  readonly document: Document;
  readonly numbers: Partial<NumberSnapshot>;
}

const nothing: StoredState = { revision: 0, document: emptyDocument, numbers: {} };

export class DocumentStore {
  readonly #file: string;
  #trouble: SwitchError | undefined;

  constructor(directory: string) {
    this.#file = join(directory, 'state.json');
  }

  /**
   * Prepares the directory and reads what was applied last. When there is something but nothing
   * can be written, `trouble` says why.
   * @throws SwitchError ERR_STATE_UNWRITABLE (also: the file is damaged, or of another version)
   */
  static async open(directory: string): Promise<{ store: DocumentStore; stored: StoredState }> {
    const store = new DocumentStore(directory);
    try {
      await prepareDirectory(directory);
    } catch (error) {
      if (!(error instanceof SwitchError) || !existsSync(store.#file)) throw error;
      store.#trouble = error;
    }
    return { store, stored: await store.#read() };
  }

  /** Why nothing could be written when last tried; undefined: it could. */
  get trouble(): SwitchError | undefined {
    return this.#trouble;
  }

  /** @throws SwitchError ERR_STATE_UNWRITABLE; what was there before is there still */
  async save(state: StoredState): Promise<void> {
    try {
      await writeFileAtomic(this.#file, `${JSON.stringify(state, null, 1)}\n`);
      this.#trouble = undefined;
    } catch (error) {
      if (error instanceof SwitchError) this.#trouble = error;
      throw error;
    }
  }

  async #read(): Promise<StoredState> {
    const text = await readFileIfExists(this.#file);
    if (text === undefined) return nothing;
    const { revision, document, numbers } = this.#parse(text);
    if (!Number.isSafeInteger(revision)) this.#damaged('it holds no revision');
    return { revision, document: this.#document(document), numbers: numbers ?? {} };
  }

  #parse(text: string): Partial<StoredState> & { readonly revision: number } {
    try {
      return { revision: Number.NaN, ...JSON.parse(text) };
    } catch (error) {
      return this.#damaged((error as Error).message);
    }
  }

  #document(value: unknown): Document {
    try {
      return documentFromValue(value);
    } catch (error) {
      if (!(error instanceof SwitchError)) throw error;
      const [problem] = error.problems;
      return this.#damaged(problem === undefined ? error.message : renderProblem(problem));
    }
  }

  #damaged(why: string): never {
    throw new SwitchError('ERR_STATE_UNWRITABLE', `${this.#file} is damaged: ${why}`, {
      remedy: `Move ${this.#file} away, start vtepd and apply the document again.`,
    });
  }
}
