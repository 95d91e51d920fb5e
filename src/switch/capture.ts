// switch/capture.ts — packets as they came in and went out, with their verdicts, as pcapng.
//
// Workers copy the packets of the ports that somebody watches into their event rings, from where
// they come here: into one hub and each reader's pieces of pcapng. Nobody watching costs nothing.

import { lostPackets, PcapngWriter } from '../control/pcapng.ts';
import type { CaptureRequest } from '../control/switch-api.ts';
import type { CaptureEvent } from '../datapath/events.ts';
import type { NativeDatapath } from '../datapath/native.ts';
import { dropReasonName } from '../flow/drop-reasons.ts';
import { EventHub } from './event-hub.ts';
import type { Names } from './names.ts';

/** Packets that wait for one reader at most: 8 MiB at full length. */
const queueMax = 4096;
/** Port number that stands for all. */
const allPorts = 0;

type Item = CaptureEvent | { readonly lost: number };

export class Captures {
  readonly #hub = new EventHub<Item>({ queueMax, lost: (lost) => ({ lost }) });
  readonly #names: Names;
  readonly #application: string;
  readonly #host: string;
  /** Readers by port number. */
  readonly #watched = new Map<number, number>();
  #native: NativeDatapath | undefined;

  constructor(names: Names, application: string, host: string) {
    this.#names = names;
    this.#application = application;
    this.#host = host;
  }

  /** Another data path: the ports that are watched are watched there too. */
  attach(native: NativeDatapath | undefined): void {
    this.#native = native;
    for (const port of this.#watched.keys()) native?.setCapture(port, true);
  }

  /** A packet that a worker captured. */
  take(event: CaptureEvent): void {
    this.#hub.publish(event);
  }

  /**
   * pcapng in pieces, until the request's end or the consumer's.
   * @param ports numbers; empty: all
   */
  read(ports: readonly number[], request: CaptureRequest): AsyncIterable<Uint8Array> {
    const watched = ports.length === 0 ? [allPorts] : ports;
    const items = this.#hub.subscribe();
    const pieces = this.#pieces(items, ports, request.count ?? Number.POSITIVE_INFINITY);
    for (const port of watched) this.#watch(port, 1);
    const end = once(() => {
      clearTimeout(timer);
      for (const port of watched) this.#watch(port, -1);
      return items.return?.();
    });
    const timer =
      request.seconds === undefined ? undefined : setTimeout(end, request.seconds * 1000);
    const next = async () => {
      const result = await pieces.next();
      if (result.done === true) end();
      return result;
    };
    const leave = async () => {
      end();
      return { value: undefined, done: true } as const;
    };
    return { [Symbol.asyncIterator]: () => ({ next, return: leave }) };
  }

  async *#pieces(
    items: AsyncIterable<Item>,
    ports: readonly number[],
    count: number,
  ): AsyncGenerator<Uint8Array, undefined> {
    const writer = new PcapngWriter({ application: this.#application, host: this.#host });
    yield writer.header();
    let left = count;
    for await (const item of items) {
      if ('lost' in item) {
        yield lostPackets(item.lost, BigInt(Date.now()) * 1_000_000n);
        continue;
      }
      if (ports.length > 0 && !ports.includes(item.port)) continue;
      yield this.#piece(writer, item);
      left -= 1;
      if (left <= 0) return undefined;
    }
    return undefined;
  }

  #watch(port: number, change: 1 | -1): void {
    const readers = (this.#watched.get(port) ?? 0) + change;
    if (readers > 0) this.#watched.set(port, readers);
    else this.#watched.delete(port);
    if (readers === 0 || (readers === 1 && change === 1))
      this.#native?.setCapture(port, readers > 0);
  }

  #piece(writer: PcapngWriter, event: CaptureEvent): Uint8Array {
    return writer.packet({
      interfaceName: this.#names.portName(event.port) ?? `port ${event.port}`,
      timeNs: event.timeNs,
      bytes: event.packet,
      originalBytes: event.originalBytes,
      comment: this.#comment(event),
    });
  }

  /** The verdict in words: "rx: forwarded to blue2, flow 7". */
  #comment({ direction, verdict, dropReason, otherPort, flow }: CaptureEvent): string {
    const other = otherPort === 0 ? '' : (this.#names.portName(otherPort) ?? `port ${otherPort}`);
    const by = flow === 0 ? '' : `, flow ${flow}`;
    if (direction === 'out') return `tx${other === '' ? '' : `: came in by ${other}`}${by}`;
    if (verdict === 'dropped') return `rx: dropped, ${dropReasonName(dropReason)}${by}`;
    if (verdict === 'forwarded' && other !== '') return `rx: forwarded to ${other}${by}`;
    return `rx: ${verdict}${by}`;
  }
}

/** Calls at most once. */
function once(call: () => void): () => void {
  let called = false;
  return () => {
    if (called) return;
    called = true;
    call();
  };
}
