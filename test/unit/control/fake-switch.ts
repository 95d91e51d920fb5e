// control/fake-switch.ts — a switch of plain data behind a real control server, for unit tests.

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PcapngWriter } from '../../../src/control/pcapng.ts';
import { startControlServer } from '../../../src/control/server.ts';
import type * as api from '../../../src/control/switch-api.ts';
import { SwitchError } from '../../../src/lib/errors.ts';
import { createLogger } from '../../../src/lib/logger.ts';
import { type Config, parseConfig } from '../../../src/model/config.ts';
import { diffDocuments, revisionOf } from '../../../src/model/diff.ts';
import { type Document, type DocumentKind, emptyDocument } from '../../../src/model/document.ts';
import { parseDocument } from '../../../src/model/parse.ts';

export const documentText = `
hosts:
  - { name: h1, tunnelIp: 192.0.2.1 }
  - { name: h2, tunnelIp: 192.0.2.2 }
networks:
  - { name: blue, vni: 100 }
ports:
  - { name: c1, network: blue, mac: "02:00:00:00:01:01", ips: [10.0.0.1], host: h1, device: veth1 }
  - { name: c2, network: blue, mac: "02:00:00:00:01:02", ips: [10.0.0.2], host: h2, device: veth2 }
`;

const startedMs = Date.UTC(2026, 0, 2, 3, 4, 5);

/** An async iterable that is filled by hand. */
export class Feed<Item> implements AsyncIterable<Item> {
  readonly #items: Item[] = [];
  #wake: () => void = () => undefined;
  #isEnded = false;
  /** True once the consumer has left. */
  isLeft = false;

  push(...items: Item[]): void {
    this.#items.push(...items);
    this.#wake();
  }

  end(): void {
    this.#isEnded = true;
    this.#wake();
  }

  [Symbol.asyncIterator](): AsyncIterator<Item> {
    const next = async (): Promise<IteratorResult<Item>> => {
      for (;;) {
        const item = this.#items.shift();
        if (item !== undefined) return { value: item, done: false };
        if (this.#isEnded) return { value: undefined, done: true };
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
      }
    };
    return {
      next,
      return: async () => {
        this.isLeft = true;
        this.end();
        return { value: undefined, done: true };
      },
    };
  }
}

/** Answers from fields that a test may change. */
export class FakeSwitch implements api.SwitchApi {
  documentInForce: Document = emptyDocument;
  revision = 1;
  events = new Feed<api.WatchEvent>();
  captures: api.CaptureRequest[] = [];
  traced: string[] = [];
  files: string[] = [];
  options: api.ApplyOptions[] = [];
  asked: string[] = [];
  warnings: string[] = [];
  capturePieces: AsyncIterable<Uint8Array> = twoPackets();
  /** Thrown by the next call of status(). */
  failure: unknown;
  tops = 0;
  flowList: readonly api.FlowView[] = [
    flow(1, 'in_port=veth1,eth_dst=02:00:00:00:01:02', 1200, 2),
    flow(2, 'in_port=eth0,tunnel_id=100,eth_dst=02:00:00:00:01:01', 3_400_000, 0.25),
    flow(3, 'in_port=veth1,eth_type=0x0806', 0, null),
  ];

  status(): api.SwitchStatus {
    if (this.failure !== undefined) throw this.failure;
    return {
      version: '0.1.0',
      host: 'h1',
      pid: 4711,
      startedMs,
      revision: this.revision,
      hash: revisionOf(this.documentInForce),
      datapath: {
        state: 'attached',
        pid: 4712,
        workers: 1,
        sinceMs: startedMs,
        restarts: 1,
        lastRecoveryMs: 180,
        reconciled: { kept: 3, replaced: 1, removed: 0, expired: 2 },
      },
      counts: { ports: 2, tunnels: 1, networks: 1, rules: 12, flows: 3, learned: 0 },
      audit: { audited: 1200, mismatches: 0 },
      flowLog: null,
      warnings: this.warnings,
    };
  }

  document() {
    const document = this.documentInForce;
    return { revision: this.revision, hash: revisionOf(document), document };
  }

  async apply(
    text: string,
    file: string,
    options: api.ApplyOptions = {},
  ): Promise<api.ApplyResult> {
    this.files.push(file);
    this.options.push(options);
    const document = parseDocument(text, file);
    const changes = diffDocuments(this.documentInForce, document);
    this.documentInForce = document;
    this.revision += 1;
    const why = 'there is no device veth1';
    const notInForce = document.ports.length > 0 ? [{ kind: 'ports', name: 'c1', why }] : [];
    const hash = revisionOf(document);
    return {
      revision: this.revision,
      hash,
      changes,
      notInForce: notInForce as api.ApplyResult['notInForce'],
      tookMs: 12.5,
      kept: options.existing === 'keep' ? 1 : 0,
    };
  }

  async diff(text: string, file: string): Promise<api.DiffResult> {
    this.files.push(file);
    const changes = diffDocuments(this.documentInForce, parseDocument(text, file));
    const connections = changes.length === 0 ? [] : [connectionChange];
    return { changes, connections, connectionCount: connections.length };
  }

  objects(kind: DocumentKind, name?: string): readonly api.ObjectStatus[] {
    const list = this.documentInForce[kind] as readonly { name: string }[];
    const found = list.filter((object) => name === undefined || object.name === name);
    if (name !== undefined && found.length === 0) {
      throw new SwitchError('ERR_NOT_FOUND', `there is no object "${name}" in ${kind}`);
    }
    return found.map((object) => {
      const spec = object as unknown as Record<string, unknown>;
      const isHere = kind !== 'ports' || spec.host === 'h1';
      const isWaiting = kind === 'hosts' && object.name === 'h2';
      return {
        kind,
        name: object.name,
        state: isWaiting ? 'waiting' : isHere ? 'active' : 'elsewhere',
        why: isWaiting ? 'no route to 192.0.2.2' : '',
        spec,
        facts: kind === 'ports' && isHere ? { number: 1, mode: 'af_packet' } : {},
      };
    });
  }

  flows() {
    return this.flowList;
  }

  trace({ key }: api.TraceRequest): api.TraceResult {
    this.traced.push(key);
    const isDropped = key.includes('ff:ff');
    return {
      key,
      steps: [
        {
          ...{ stage: 'classify', rule: 'port c1', detail: 'network=100' },
          ...{ origin: 'port c1', path: 'ports[c1].device' },
        },
        {
          ...{ stage: 'lookup', rule: 'mac c2', detail: 'tunnel h2' },
          ...{ origin: 'port c2', path: 'ports[c2].mac' },
        },
      ],
      revision: 1,
      megaflow: key,
      actions: isDropped ? 'drop(unknown_mac)' : 'push_tunnel(h2)',
      drop: isDropped ? 'unknown_mac' : '',
      dropHelp: isDropped ? 'no port of the network has the destination MAC' : '',
      nearest: isDropped
        ? {
            ...{ rule: 'mac c2', origin: 'port c2', path: 'ports[c2].mac', match: 'eth_dst=...' },
            differs: ['eth_dst is ff:ff:ff:ff:ff:ff, not 02:00:00:00:01:02'],
          }
        : null,
    };
  }

  async why({ about }: api.WhyRequest): Promise<api.WhyResult> {
    this.asked.push(about);
    if (about === '99') throw new SwitchError('ERR_NOT_FOUND', 'there is no flow 99');
    const isDropped = about.startsWith('last-drop');
    const key = isDropped ? 'in_port=c1,eth_dst=ff:ff:ff:ff:ff:ff' : 'in_port=c1';
    const trace = this.trace({ key });
    const packet: api.WhyPacket = {
      source: isDropped ? 'drop' : 'connection',
      packets: 1200,
      bytes: 120_000,
      ageSeconds: isDropped ? null : 60,
      idleSeconds: 0.5,
      state: isDropped ? '' : 'established',
      flow: 2,
      decidedRevision: 3,
      decidedBy: 'mac c2',
      origin: 'port c2',
      path: 'ports[c2].mac',
      drop: trace.drop,
      dropHelp: trace.dropHelp,
      timeMs: isDropped ? startedMs : null,
      packet: isDropped ? udpFrame.toString('base64') : '',
      trace,
      agrees: true,
    };
    return { about, revision: 4, packets: [packet] };
  }

  async connections(): Promise<readonly api.ConnectionView[]> {
    return [connection];
  }

  drops(): readonly api.DropView[] {
    const ports = [
      { port: 'c1', packets: 7 },
      { port: '(none)', packets: 5 },
    ];
    const recent = {
      timeMs: startedMs,
      bytes: udpFrame.toString('base64'),
      originalBytes: udpFrame.length,
    };
    const rule = { port: 'c1', rule: 'l2/miss', origin: '', path: '', packets: 7, recent };
    return [
      { reason: 'unknown_mac', help: 'no port has the MAC', packets: 12, ports, rules: [rule] },
      { reason: 'too_short', help: 'the frame is too short', packets: 0, ports: [], rules: [] },
    ];
  }

  top(): api.TopView {
    this.tops += 1;
    const counters = (step: number) => ({
      rx_packets: step * this.tops,
      rx_bytes: 100 * step * this.tops,
      tx_packets: 0,
      tx_bytes: 0,
      drops: 0,
      upcalls: 1,
    });
    return {
      timeMs: startedMs + 1000 * this.tops,
      ports: [
        { port: 'c1', device: 'veth1', number: 1, uplink: false, counters: counters(1500) },
        { port: 'uplink', device: 'eth0', number: 2, uplink: true, counters: counters(20) },
      ],
      workers: [{ worker: 0, counters: { breaths: 10 * this.tops, exact_hits: 5 * this.tops } }],
      slowPath: {
        upcalls: 10,
        flowsInstalled: 4,
        flowsRemoved: 1,
        latencyUs: { p50: 100, p99: 250, max: 900 },
      },
    };
  }

  capture(request: api.CaptureRequest): AsyncIterable<Uint8Array> {
    if (request.port === 'nosuch') {
      throw new SwitchError('ERR_PORT_NOT_FOUND', 'this host has no port "nosuch"');
    }
    this.captures.push(request);
    return this.capturePieces;
  }

  watch(): AsyncIterable<api.WatchEvent> {
    return this.events;
  }
}

const connection: api.ConnectionView = {
  protocol: 'tcp',
  source: '10.0.0.1:40000',
  destination: '10.0.0.2:80',
  port: 'c1',
  state: 'established',
  kept: true,
  packets: 1200,
  bytes: 120_000,
  replyPackets: 900,
  replyBytes: 1_350_000,
  ageSeconds: 65,
  idleSeconds: 0.5,
  flows: [2, 3],
};

const connectionChange: api.ConnectionChange = {
  change: 'cut',
  connection,
  rule: 'c2/deny',
  origin: 'port c2',
  path: 'ports[c2].securityGroups',
  drop: 'acl_reject',
  canStay: true,
};

function flow(id: number, match: string, packets: number, idle: number | null): api.FlowView {
  return {
    id,
    match,
    actions: 'output(c1)',
    packets,
    bytes: packets * 100,
    idleSeconds: idle,
    ageSeconds: 10 * id,
    decision: ['classify port c1', 'lookup mac c2'],
  };
}

/** An Ethernet frame with IPv4, UDP and four bytes of payload; no checksums. */
export const udpFrame = Buffer.from(
  '02000000010202000000010108004500002000010000401100000a0000010a000002' +
    '03e80035000c000061626364',
  'hex',
);

export const captureTimeNs = 1_767_323_045_123_456_789n;

export async function* twoPackets(): AsyncGenerator<Uint8Array> {
  const writer = new PcapngWriter({ application: 'vtepd test', host: 'h1' });
  yield writer.header();
  const packet = { interfaceName: 'c1', interfaceDescription: 'veth1', timeNs: captureTimeNs };
  yield writer.packet({ ...packet, bytes: udpFrame, comment: 'output to c2' });
  yield writer.packet({
    ...packet,
    interfaceName: 'eth0',
    bytes: udpFrame.subarray(0, 20),
    originalBytes: udpFrame.length,
    comment: 'dropped: unknown_mac',
  });
}

export interface Served {
  readonly api: FakeSwitch;
  readonly config: Config;
  readonly socket: string;
  readonly directory: string;
  readonly log: string[];
  close(): Promise<void>;
}

/** A control server on a socket in a folder of its own. */
export async function serveFake(control: Record<string, unknown> = {}): Promise<Served> {
  const directory = mkdtempSync(join(tmpdir(), 'vtep-control-'));
  const socket = join(directory, 'control.sock');
  const text = JSON.stringify({ host: 'h1', control: { socket, ...control } });
  const config = parseConfig(text, 'test.json');
  const log: string[] = [];
  const stream = { write: (line: string) => void log.push(line) };
  const logger = createLogger({ name: 'test', level: 'info', stream });
  const api = new FakeSwitch();
  try {
    const server = await startControlServer({ config, logger, api });
    const close = async () => {
      await server.close();
      rmSync(directory, { recursive: true, force: true });
    };
    return { api, config, socket, directory, log, close };
  } catch (error) {
    rmSync(directory, { recursive: true, force: true });
    throw error;
  }
}
