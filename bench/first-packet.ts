// bench/first-packet.ts — how long the first packet of a flow waits, all alone.
//
// From its arrival at a port to its leaving by the uplink, by the stamps of the worker: between a
// worker that slept and an event loop that slept, as on an idle host. Each round is a process of
// its own, as a vtepd is, which knows of no other data path than its own; this file is that
// program, too.

import { setTimeout as sleep } from 'node:timers/promises';
import { readEvents } from '../src/datapath/events.ts';
import { mustRun } from '../test/support/process.ts';
import { Lab, LabRules } from './lab.ts';
import { benchFrame } from './network.ts';

export interface FirstPackets {
  /** Rules of the local port's security groups. */
  readonly securityRules: number;
  /** First packets that are not measured: the engine compiles what it runs often. */
  readonly warm: number;
  readonly count: number;
}

/**
 * Between two first packets, so that both sides sleep. Longer than a kernel's tick, as the times
 * that a vtepd sleeps are: a nearer timer of ours would be the next of its CPU, and to cancel that
 * when the slow path is woken takes longer than the wake.
 */
const restMs = 5;
const restsMax = 200;
const nsPerUs = 1000;
const datapathOptions = { flowMax: 16384, exactMax: 65536, manual: false };

/** Waits for the packet that is under way; microseconds from its arrival to its leaving. */
async function passedUs({ datapath, memory }: Lab): Promise<number> {
  const seen = new Map<string, bigint>();
  for (let rest = 0; rest < restsMax && seen.size < 2; rest += 1) {
    await sleep(restMs);
    for (const event of readEvents(datapath, 0, memory)) {
      if (event.kind === 'capture') seen.set(event.direction, event.timeNs);
    }
  }
  if (seen.size < 2) throw new Error('a first packet was lost');
  return Number(seen.get('out')! - seen.get('in')!) / nsPerUs;
}

/** Microseconds that each took, one flow after the other. */
async function measure({ securityRules, warm, count }: FirstPackets): Promise<number[]> {
  const lab = new Lab(new LabRules(warm + count, securityRules), datapathOptions);
  const { datapath, localPort, uplink } = lab;
  try {
    datapath.onDoorbell(() => lab.answer());
    datapath.setCapture(localPort, true);
    datapath.setCapture(uplink, true);
    const took: number[] = [];
    for (let number = 0; number < warm + count; number += 1) {
      datapath.inject(localPort, benchFrame(number, 1024));
      const us = await passedUs(lab);
      if (number >= warm) took.push(us);
      datapath.collect(uplink);
    }
    return took;
  } finally {
    lab.close();
  }
}

const program = import.meta.filename;

/** One round in a process of its own; microseconds of each first packet. */
export async function firstPacketRound(wanted: FirstPackets): Promise<number[]> {
  const { stdout } = await mustRun(process.execPath, [program, JSON.stringify(wanted)]);
  return JSON.parse(stdout);
}

if (process.argv[1] === program) {
  const took = await measure(JSON.parse(process.argv[2] ?? ''));
  process.stdout.write(JSON.stringify(took));
}
