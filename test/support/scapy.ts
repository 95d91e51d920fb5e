// support/scapy.ts — scapy as an independent judge: builds packets from its own words, reads ours.
//
// Uses Debian's python3-scapy. One python process per call takes most of a second, so hand it
// batches.

import { fromHex, toHex } from './bytes.ts';
import { mustRun } from './process.ts';

/**
 * Runs Python code after `from scapy.all import *` and the tunnel layers. The code finds the
 * decoded JSON in `given` and puts what JSON can hold into `result`. Rejects with Python's
 * traceback.
 */
export async function scapy<T>(code: string, given: unknown = null): Promise<T> {
  const program = [
    'import json, sys, logging',
    'logging.getLogger("scapy").setLevel(logging.ERROR)',
    'from scapy.all import *',
    'from scapy.layers.vxlan import VXLAN',
    'from scapy.contrib.geneve import GENEVE, GeneveOptions',
    'from scapy.layers.sctp import *',
    'given = json.load(sys.stdin)',
    'result = None',
    code,
    'print(json.dumps(result))',
  ].join('\n');
  const { stdout } = await mustRun('/usr/bin/python3', ['-c', program], {
    input: JSON.stringify(given),
    timeout: 60_000,
  });
  return JSON.parse(stdout.trim().split('\n').pop() ?? 'null') as T;
}

/** Builds frames from scapy expressions such as `Ether()/IP(ttl=3)/UDP()`. */
export async function scapyBuild(expressions: string[]): Promise<Uint8Array[]> {
  const built = await scapy<string[]>(
    'result = [bytes(eval(text)).hex() for text in given]',
    expressions,
  );
  return built.map(fromHex);
}

export interface ScapyLayer {
  /** scapy's class name: Ether, IP, UDP, VXLAN … */
  layer: string;
  /** Field values as text. */
  fields: Record<string, string>;
}

/** The layers that scapy sees in each frame. */
export function scapyDissect(frames: Uint8Array[]): Promise<ScapyLayer[][]> {
  const code = `
def layers(frame):
    found = []
    while frame and not isinstance(frame, NoPayload):
        fields = {name: str(frame.getfieldval(name)) for name in frame.fields}
        found.append({"layer": type(frame).__name__, "fields": fields})
        frame = frame.payload
    return found
result = [layers(Ether(bytes.fromhex(text))) for text in given]`;
  return scapy(code, frames.map(toHex));
}

/**
 * The frames after scapy has computed every checksum and length anew; equal to what was given when
 * they were right. Fields that scapy was not told to recompute stay.
 */
export async function scapyRecomputed(frames: Uint8Array[]): Promise<Uint8Array[]> {
  const code = `
def anew(frame):
    layer = frame
    while layer and not isinstance(layer, NoPayload):
        for name in ("chksum", "cksum", "len", "plen", "ihl", "dataofs"):
            if name in layer.fields and not (isinstance(layer, UDP) and layer.chksum == 0):
                layer.delfieldval(name)
        layer = layer.payload
    return bytes(frame).hex()
result = [anew(Ether(bytes.fromhex(text))) for text in given]`;
  return (await scapy<string[]>(code, frames.map(toHex))).map(fromHex);
}
