// switch/boundary.test.ts — what could go wrong where JavaScript meets the addon.

import { EventEmitter, once } from 'node:events';
import { setImmediate as turn } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { afterEach, describe, expect, test } from 'vitest';
import { datapathPort } from '../../src/datapath/adapter.ts';
import { loadAddon } from '../../src/datapath/addon.ts';
import { compareLayout, layoutTable, upcallRecord } from '../../src/datapath/layout.ts';
import { regionMemory, ringWord, waitingUpcalls } from '../../src/datapath/memory.ts';
import type { NativePortConfig } from '../../src/datapath/native.ts';
import { actionWord, op } from '../../src/flow/actions.ts';
import { eth } from '../support/packet.ts';
import { SmallSlowPath } from '../support/small-slow-path.ts';
import { waitUntil } from '../support/wait.ts';

const output = (port: number) => [actionWord(op.Output), port];
const frame = eth().ip().udp({ dst: 53 }).payload('abcdefgh').build();
const frameFrom = (src: number) => eth().ip().udp({ src }).payload('abcdefgh').build();

let opened: SmallSlowPath[] = [];
function slowPath(...args: ConstructorParameters<typeof SmallSlowPath>): SmallSlowPath {
  const made = new SmallSlowPath(...args);
  opened.push(made);
  made.addPorts([1, 2]);
  return made;
}
afterEach(() => {
  for (const one of opened) one.close();
  opened = [];
});

describe('layout', () => {
  test('what the addon was built from is what TypeScript has written down', () => {
    expect(() => compareLayout(loadAddon().layout())).not.toThrow();
  });

  test('a difference is refused by its name and both values', () => {
    const other = { ...layoutTable(), 'FlowSlot.key': 40 };
    expect(() => compareLayout(other)).toThrow(/FlowSlot\.key is 40, expected 32/);
    const { port_max: _, ...missing } = layoutTable();
    expect(() => compareLayout(missing)).toThrow(/port_max is not known to it/);
    expect(() => compareLayout({ ...layoutTable(), novelty: 1 })).toThrow(/novelty is new/);
  });

  test('memory that is no region is refused', () => {
    expect(() => regionMemory(new ArrayBuffer(8192))).toThrow(/another layout/);
    expect(() => regionMemory(new ArrayBuffer(16))).toThrow(/another layout/);
  });
});

describe('what waits for a verdict', () => {
  test('is what the cursors of the ring say, unless they cannot be', () => {
    const slow = slowPath();
    const { upcalls } = regionMemory(slow.datapath.memory).workers[0]!;
    expect(waitingUpcalls(upcalls)).toBe(0);
    slow.datapath.inject(1, frame);
    slow.breathe();
    expect(waitingUpcalls(upcalls)).toBe(upcalls.words[upcallRecord.recordBytes / 4]);
    const { header } = upcalls;
    header[ringWord.answered] = header[ringWord.produced]! + 64;
    expect(waitingUpcalls(upcalls)).toBe(0);
    header[ringWord.answered] = header[ringWord.produced]! - upcalls.capacity - 64;
    expect(waitingUpcalls(upcalls)).toBe(0);
    header[ringWord.answered] = header[ringWord.produced]! - 64;
    expect(waitingUpcalls(upcalls)).toBe(64);
  });
});

describe('doorbell', () => {
  test('rings once for a batch of upcalls, and again for the next', async () => {
    const slow = slowPath();
    let wakes = 0;
    slow.datapath.onDoorbell(() => {
      wakes += 1;
      slow.settle();
    });
    for (let round = 1; round <= 3; round += 1) {
      for (let i = 0; i < 5; i += 1) slow.datapath.inject(1, frameFrom(100 * round + i));
      slow.breathe();
      await waitUntil(() => wakes === round, { what: 'the doorbell' });
      await turn();
      expect(wakes).toBe(round);
    }
  });

  test('a handler may close the datapath', async () => {
    const slow = slowPath();
    let wakes = 0;
    slow.datapath.onDoorbell(() => {
      wakes += 1;
      slow.close();
    });
    slow.datapath.inject(1, frame);
    slow.breathe();
    await waitUntil(() => wakes === 1, { what: 'the doorbell' });
    expect(() => slow.datapath.listPorts()).toThrow(
      expect.objectContaining({ code: 'ERR_DATAPATH_CLOSED' }),
    );
    expect(slow.datapath.commandRoom(0)).toBe(0);
    slow.close();
  });

  test('what a handler throws is uncaught, and the next batch still rings', async () => {
    const slow = slowPath();
    const { listeners, restore } = takeUncaught();
    try {
      let wakes = 0;
      slow.datapath.onDoorbell(() => {
        wakes += 1;
        if (wakes === 1) throw new Error('thrown in a handler');
      });
      const uncaught = once(listeners, 'uncaught');
      slow.datapath.inject(1, frameFrom(1));
      slow.breathe();
      const [error] = await uncaught;
      expect(error).toMatchObject({ message: 'thrown in a handler' });
      slow.answer();
      slow.datapath.inject(1, frameFrom(2));
      slow.breathe();
      await waitUntil(() => wakes === 2, { what: 'the doorbell' });
    } finally {
      restore();
    }
  });

  test('draining inside a drain takes nothing twice', () => {
    const slow = slowPath();
    let inner = -1;
    slow.decide = () => {
      if (inner < 0) {
        inner = 0;
        slow.breathe();
        inner = slow.datapath.collect(2).length;
      }
      return { once: output(2) };
    };
    slow.datapath.inject(1, frameFrom(1));
    slow.datapath.inject(1, frameFrom(2));
    expect(slow.settle()).toBe(2);
    expect(inner).toBe(0);
    expect(slow.datapath.collect(2)).toHaveLength(2);
  });
});

describe('memory', () => {
  test('a collection between take and give moves nothing', () => {
    const collect = exposeGc();
    const slow = slowPath();
    slow.decide = () => {
      collect();
      return { flow: output(2) };
    };
    slow.datapath.inject(1, frame);
    slow.settle();
    expect(slow.datapath.collect(2)).toHaveLength(1);
  });

  test('the region can be read after close and after its datapath was collected', async () => {
    const collect = exposeGc();
    let memory: ArrayBuffer | undefined;
    (() => {
      const slow = new SmallSlowPath();
      memory = slow.datapath.memory;
      expect(slow.datapath.memory).toBe(memory);
      slow.close();
    })();
    for (let i = 0; i < 5; i += 1) {
      collect();
      await turn();
    }
    expect(new Uint32Array(memory as ArrayBuffer)[0]).toBe(0x50455456);
  });
});

describe('the other side', () => {
  test('a ring that nobody answers fills to a limit, and goes on when somebody comes', () => {
    const slow = slowPath({ upcallRingBytes: 65536 });
    for (let i = 0; i < 400; i += 1) {
      slow.datapath.inject(1, frameFrom(i + 1));
      slow.breathe();
    }
    const drops = slow.dropsOf(1);
    expect(drops.upcall_port_limit).toBeGreaterThan(200);
    slow.decide = () => ({ flow: output(2) });
    const upcalls = slow.settle();
    expect(upcalls + (drops.upcall_port_limit ?? 0)).toBe(400);
    slow.datapath.collect(2);
    slow.datapath.inject(1, frame);
    slow.settle();
    expect(slow.datapath.collect(2)).toHaveLength(1);
  });

  test.each([
    ['an op that does not exist', [0xff]],
    ['an action that is cut off', [actionWord(op.Output)]],
    ['a port beyond the limit', output(1 << 20)],
    ['a length that is not the op’s', [(actionWord(op.Output) & 0xff) | (9 << 8), 1]],
  ])('verdict words with %s drop the packet as bad_verdict', (_, words) => {
    const slow = slowPath();
    slow.decide = () => ({ flow: words });
    slow.datapath.inject(1, frame);
    slow.settle();
    slow.decide = () => ({ once: words });
    slow.datapath.inject(1, frame);
    slow.settle();
    expect(slow.dropsOf(1)).toEqual({ bad_verdict: 2 });
    expect(slow.datapath.collect(2)).toHaveLength(0);
  });

  test('scribbling over a whole record costs its packet and nothing else', () => {
    const slow = slowPath();
    slow.decide = (upcall) => {
      upcall.words.fill(0xffffffff, upcall.base + 1, upcall.base + upcallRecord.size / 4 + 8);
      return 'nothing';
    };
    slow.datapath.inject(1, frame);
    slow.settle();
    expect(slow.dropsOf(1)).toEqual({ bad_verdict: 1 });
    slow.decide = () => ({ flow: output(2) });
    slow.datapath.inject(1, frame);
    slow.settle();
    expect(slow.datapath.collect(2)).toHaveLength(1);
  });

  test('a port that vanishes while its packet is asked about leaves a named drop', () => {
    const slow = slowPath();
    slow.datapath.inject(1, frame);
    slow.breathe();
    slow.datapath.removePort(2);
    slow.decide = () => ({ flow: output(2) });
    slow.settle();
    expect(slow.dropsOf(1)).toEqual({ port_gone: 1 });
    slow.datapath.removePort(1);
    expect(slow.datapath.listPorts()).toEqual([]);
  });

  test('cursors of the adapter follow what was given and done', () => {
    const slow = slowPath();
    const worker = datapathPort(slow.datapath).workers[0];
    expect(worker).toBeDefined();
    worker?.putCommand(5, 0, 0);
    expect(worker?.commandCursor()).toBe(0);
    worker?.giveCommands();
    expect(worker?.commandCursor()).toBe(64);
    expect(worker?.doneCursor()).toBe(0);
    slow.breathe();
    expect(worker?.doneCursor()).toBe(64);
  });
});

describe('arguments', () => {
  test.each<[string, (slow: SmallSlowPath) => void, string]>([
    [
      'a number out of range',
      ({ datapath }) => datapath.addPort({ number: 0, name: 'x', kind: 'memory' }),
      'addPort: number: expected a whole number from 1 to 1023, got 0',
    ],
    [
      'a kind that does not exist',
      ({ datapath }) =>
        datapath.addPort({ number: 9, name: 'x', kind: 'tun' } as unknown as NativePortConfig),
      'addPort: kind: expected one of auto, af_packet, af_xdp, af_xdp_native, af_xdp_generic, ' +
        'tap, pcap, memory, got "tun"',
    ],
    [
      'a missing name',
      ({ datapath }) => datapath.addPort({ number: 9, kind: 'memory' } as NativePortConfig),
      'addPort: name: expected text of at most 31 bytes, got nothing',
    ],
    [
      'a member in the middle of a list',
      ({ datapath }) =>
        datapath.setGroups([
          {
            number: 1,
            members: [
              { kind: 'port', number: 1 },
              { kind: 'tunnel', number: 0 },
            ],
          },
        ]),
      'setGroups[0]: members[1]: number: expected a whole number from 1 to 4095, got 0',
    ],
    [
      'a number in the middle of a list',
      ({ datapath }) => datapath.removeGroups([1, 8192]),
      'removeGroups[1]: expected a whole number from 1 to 8191, got 8192',
    ],
    [
      'an address that is none',
      ({ datapath }) => datapath.setEndpoints([{ address: '10.0.0', vxlanPort: 1, genevePort: 2 }]),
      'setEndpoints[0]: address: expected an IPv4 or IPv6 address, got "10.0.0"',
    ],
    [
      'a worker that does not exist',
      ({ datapath }) => void datapath.commandRoom(7),
      'commandRoom: worker: expected a whole number from 0 to 0, got 7',
    ],
  ])('%s is a TypeError that names the field', (_, call, message) => {
    const slow = slowPath();
    expect(() => call(slow)).toThrow(new TypeError(message));
  });

  test.each<[string, (slow: SmallSlowPath) => void, string]>([
    [
      'a port number that is taken',
      ({ datapath }) => datapath.addPort({ number: 1, name: 'other', kind: 'memory' }),
      'ERR_PORT_EXISTS',
    ],
    ['a port that does not exist', ({ datapath }) => datapath.removePort(9), 'ERR_PORT_NOT_FOUND'],
    ['a tunnel that does not exist', ({ datapath }) => datapath.removeTunnel(9), 'ERR_NOT_FOUND'],
    [
      'a device that does not exist',
      ({ datapath }) =>
        datapath.addPort({ number: 9, name: 'x', kind: 'af_packet', device: 'vtepnone0' }),
      'ERR_DEVICE_NOT_FOUND',
    ],
  ])('%s is an error with its code', (_, call, code) => {
    const slow = slowPath();
    expect(() => call(slow)).toThrow(expect.objectContaining({ code }));
  });

  test('attaching where nobody serves is ERR_DATAPATH_CLOSED', () => {
    expect(() => loadAddon().attachDatapath('/tmp/vtepd-nobody-here.sock')).toThrow(
      expect.objectContaining({ code: 'ERR_DATAPATH_CLOSED' }),
    );
  });
});

/** Takes uncaught exceptions away from the test runner, and gives them back. */
function takeUncaught(): { listeners: EventEmitter; restore(): void } {
  const before = process.listeners('uncaughtException');
  process.removeAllListeners('uncaughtException');
  const listeners = new EventEmitter();
  const hear = (error: Error) => listeners.emit('uncaught', error);
  process.on('uncaughtException', hear);
  return {
    listeners,
    restore() {
      process.off('uncaughtException', hear);
      for (const listener of before) process.on('uncaughtException', listener);
    },
  };
}

/** The garbage collector, as a function. */
function exposeGc(): () => void {
  setFlagsFromString('--expose-gc');
  return runInNewContext('gc') as () => void;
}
