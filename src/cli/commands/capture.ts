// cli/commands/capture.ts — `vtepctl capture`: packets as the switch sees them, and verdicts.
//
// To a file it is pcapng as the daemon sends it, so tshark and Wireshark show the verdicts as
// packet comments. Without a file every packet is one line.

import { once } from 'node:events';
import { createWriteStream } from 'node:fs';
import type { Writable } from 'node:stream';
import { PcapngReader } from '../../control/pcapng.ts';
import { SwitchError, systemErrorCode } from '../../lib/errors.ts';
import { plural } from '../human.ts';
import { write } from '../io.ts';
import { printItem } from '../output.ts';
import { type PacketSummary, renderSummary, summarize } from '../packet-summary.ts';
import type { Context, Verb } from '../verb.ts';

export const verb: Verb = {
  name: 'capture',
  summary: 'capture packets with their verdicts',
  description:
    'Captures packets of a port, a device or "uplink", by default all ports, before and after\n' +
    'encapsulation, each with its verdict as a comment. Ends after --count packets, --seconds\n' +
    'seconds, or by Ctrl-C. What is captured too fast for the reader is left out and counted.',
  arguments: [['[port]', 'port, device or "uplink"; without it all ports']],
  options: [
    { flags: '-w, --write <file>', description: 'write pcapng to a file, "-" for standard output' },
    { flags: '-c, --count <packets>', description: 'end after so many packets', range: [1, 1e9] },
    { flags: '--seconds <seconds>', description: 'end after so many seconds', range: [1, 86_400] },
  ],
  examples: [
    ['vtepctl capture web1', 'a line for every packet of a port'],
    ['vtepctl capture uplink -w up.pcapng -c 100', '100 packets of the uplink to a file'],
    ['vtepctl capture -w - | tshark -r -', 'live, through tshark'],
  ],
  async run(context) {
    const { write: file } = context.options;
    const tally = file === undefined ? await lines(context) : await toFile(context, String(file));
    if (tally.lost > 0) {
      const message = `${plural(tally.lost, 'packet')} missing: we were too slow`;
      context.io.stderr.write(`vtepctl: ${message}\n`);
    }
    if (file !== undefined && file !== '-') {
      context.io.stderr.write(`${plural(tally.packets, 'packet')} written to ${file}\n`);
    }
  },
};

interface Tally {
  packets: number;
  lost: number;
}

function pieces({ client, args, options, io }: Context): AsyncIterable<Uint8Array> {
  const { count, seconds } = options as { count?: number; seconds?: number };
  return client.capture({ port: args[0], count, seconds }, io.signal);
}

async function lines(context: Context): Promise<Tally> {
  const reader = new PcapngReader();
  const tally = { packets: 0, lost: 0 };
  for await (const piece of pieces(context)) {
    for (const item of reader.push(piece)) {
      if (item.kind === 'lost') tally.lost += item.packets;
      else {
        tally.packets += 1;
        const summary: PacketSummary = summarize(item.packet);
        await printItem(context, summary, () => renderSummary(summary));
      }
    }
  }
  return tally;
}

async function toFile(context: Context, file: string): Promise<Tally> {
  const reader = new PcapngReader();
  const tally = { packets: 0, lost: 0 };
  let sink: Writable | undefined;
  try {
    for await (const piece of pieces(context)) {
      // The file is made when the capture has begun: a refused one leaves nothing behind.
      sink ??= file === '-' ? context.io.stdout : await openFile(file);
      await write(sink, piece);
      for (const item of reader.push(piece)) {
        if (item.kind === 'lost') tally.lost += item.packets;
        else tally.packets += 1;
      }
    }
  } finally {
    if (sink !== undefined && file !== '-') await closed(sink);
  }
  return tally;
}

async function openFile(file: string): Promise<Writable> {
  const stream = createWriteStream(file);
  try {
    await once(stream, 'open');
  } catch (cause) {
    const reason = systemErrorCode(cause) ?? 'unknown';
    throw new SwitchError('ERR_ARGUMENT_INVALID', `cannot write ${file} (${reason})`, {
      remedy: 'Name a file with -w that can be written, or "-" for standard output.',
    });
  }
  return stream;
}

async function closed(stream: Writable): Promise<void> {
  stream.end();
  if (!stream.closed) await once(stream, 'close');
}
