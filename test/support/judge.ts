// support/judge.ts — keeps what a file's tests made the switch send, for the judges at its end.
//
// tshark and scapy take most of a second to start, so each file asks them once, in its last test.

import type { NativeOffload } from '../../src/datapath/native.ts';
import { dissect } from './dissect.ts';
import { scapyDissect, scapyRecomputed } from './scapy.ts';
import { expectNoExpertErrors, type TsharkOptions } from './tshark.ts';
import { onTheWire } from './wire.ts';

const framesMax = 2000;

export class Judge {
  readonly #frames: Uint8Array[] = [];

  /** Keeps the frames as a device would send them, and hands them back. */
  keep(sent: readonly { frame: Uint8Array; offload: NativeOffload }[]): Uint8Array[] {
    const frames = onTheWire(sent);
    if (this.#frames.length < framesMax) this.#frames.push(...frames);
    return frames;
  }

  get count(): number {
    return this.#frames.length;
  }

  /** Rejects when tshark finds a fault in any frame. */
  async tshark(options: TsharkOptions = {}): Promise<void> {
    await expectNoExpertErrors(this.#frames, options);
  }

  /**
   * Rejects unless scapy reads the same tunnel in each frame as we do, and computes the same
   * checksums. What quotes a cut packet cannot be recomputed and is only read.
   */
  async scapy(): Promise<void> {
    const [read, again] = [
      await scapyDissect(this.#frames),
      await scapyRecomputed(this.#frames.filter((frame) => !quotes(frame))),
    ];
    for (const [index, layers] of read.entries()) {
      const seen = layers.find(({ layer }) => layer === 'VXLAN' || layer === 'GENEVE');
      const ours = dissect(this.#frames[index]!).find(({ layer }) => /vxlan|geneve/.test(layer));
      const [theirs, wanted] = [seen?.fields.vni, ours?.fields.vni];
      if (theirs === (wanted === undefined ? undefined : `${wanted}`)) continue;
      throw new Error(`frame ${index + 1}: scapy reads VNI ${theirs}, we read ${wanted}`);
    }
    for (const [index, frame] of this.#frames.filter((one) => !quotes(one)).entries()) {
      if (Buffer.from(frame).equals(again[index]!)) continue;
      throw new Error(`scapy computes another checksum than frame ${index + 1} has`);
    }
  }
}

/** ICMP errors hold the beginning of another packet; fragments no whole transport header. */
function quotes(frame: Uint8Array): boolean {
  return dissect(frame).some(
    ({ layer, fields }) =>
      (layer === 'icmp' && fields.type === 3) ||
      (layer === 'icmp6' && Number(fields.type) < 128) ||
      (layer === 'ip' && (fields.mf === 1 || Number(fields.fragmentOffset) > 0)) ||
      layer === 'fragment6',
  );
}
