// model/config.ts — the daemon's own file: who this host is, and where its sockets and state are.
//
// Read like a document (model/parse.ts): unknown fields, wrong values and contradictions are
// refused with file, line and expectation. Everything but the name of the host has a default that
// is right for a host with one VTEP; the tunnel address itself is in the document.

import { isIPv4, isIPv6 } from 'node:net';
import { z } from 'zod';
import { logLevels } from '../lib/logger.ts';
import type { DeepReadonly } from './document.ts';
import * as field from './fields.ts';
import { type Grammar, parseText } from './parse.ts';
import type { Finding } from './source.ts';

/** UDP ports of RFC 7348 and RFC 8926. */
export const vxlanPortDefault = 4789;
export const genevePortDefault = 6081;

/** Limits of the datapath, as in native/base/limits.h. */
export const workerMax = 16;
const entriesMax = 1 << 24;
const framesMax = 1 << 20;

export const tunnelModes = [
  'auto',
  'af_packet',
  'af_xdp',
  'af_xdp_generic',
  'af_xdp_native',
] as const;
export const datapathStarts = ['auto', 'external'] as const;
export const tcpPickUps = ['always', 'after_start', 'never'] as const;

const udpPortMax = 65535;

function udpPort() {
  return field.wholeNumber('a UDP port', 1, udpPortMax);
}

const socketMode = z
  .union([z.string(), z.number()], { error: 'permission bits such as "0660"' })
  .check((context) => {
    // Octal digits, however they are written: YAML reads 0660 as the number 660.
    const digits = /^0?o?([0-7]{3})$/.exec(String(context.value))?.[1];
    const { value: input } = context;
    if (digits !== undefined) context.value = `0${digits}`;
    else {
      context.issues.push({ code: 'custom', input, message: 'permission bits such as "0660"' });
    }
  })
  .pipe(z.string());

function addressAndPort(expected: string) {
  return z.string({ error: expected }).check((context) => {
    const { value: input } = context;
    if (splitListen(input) !== undefined) return;
    context.issues.push({ code: 'custom', input, message: expected });
  });
}

const listenAddress = addressAndPort(
  'an address and a TCP port such as 192.0.2.1:7443 or [fd00::1]:7443',
);

function powerOfTwo(what: string, min: number, max: number) {
  const message = `${what} from ${min} to ${max}, a power of two`;
  return z.number({ error: message }).check((context) => {
    const { value: input } = context;
    const fits = Number.isInteger(input) && input >= min && input <= max;
    if (fits && (input & (input - 1)) === 0) return;
    context.issues.push({ code: 'custom', input, message });
  });
}

const tunnelSchema = field.mapping('tunnel', {
  device: field
    .deviceName()
    .optional()
    .describe('Underlay device; without it the one that has the tunnel address.'),
  port: udpPort().default(vxlanPortDefault).describe('UDP port of VXLAN.'),
  genevePort: udpPort().default(genevePortDefault).describe('UDP port of Geneve.'),
  mode: field.oneOf(tunnelModes).default('auto').describe('How frames are taken from the device.'),
});

const tlsSchema = field.mapping('tls', {
  cert: field.absolutePath('the certificate in PEM').describe('Certificate of this host.'),
  key: field.absolutePath('the private key in PEM').describe('Private key of the certificate.'),
  ca: field
    .absolutePath('the certificates of the authority in PEM')
    .describe('Who signs the certificates of clients.'),
});

const controlSchema = field.mapping('control', {
  socket: field
    .absolutePath('a unix socket', field.socketPathLengthMax)
    .default('/run/vtepd/control.sock')
    .describe('Unix socket of the control API.'),
  mode: socketMode.default('0660').describe('Permission bits of the socket.'),
  group: field.nameOf('a group of users').optional().describe('Group that owns the socket.'),
  listen: listenAddress.optional().describe('Address for remote clients; needs tls.'),
  tls: tlsSchema.optional().describe('Certificates; clients must present one of the authority.'),
});

/** Seconds; timeout_min_ms and timeout_max_ms of native/flow/connection.h. */
const timeoutMin = 5;
const timeoutMax = 2_000_000;

function timeout(seconds: number, of: string) {
  return field
    .wholeNumber('a number of seconds', timeoutMin, timeoutMax)
    .default(seconds)
    .describe(`Seconds without a packet after which ${of} is forgotten.`);
}

const tcpTimeoutsSchema = field.mapping('timeouts of TCP', {
  synSent: timeout(120, 'a connection that was asked for'),
  synReceived: timeout(60, 'one that was answered, not yet confirmed'),
  established: timeout(432_000, 'an established one'),
  finWait: timeout(120, 'one that one side has closed'),
  closeWait: timeout(60, 'one whose half close was confirmed'),
  lastAck: timeout(30, 'one that both sides have closed'),
  timeWait: timeout(120, 'one whose close was confirmed'),
  close: timeout(10, 'one that was reset'),
});

const udpTimeoutsSchema = field.mapping('timeouts of UDP', {
  unreplied: timeout(30, 'a stream of datagrams without an answer'),
  stream: timeout(120, 'one with an answer'),
});

/** As the kernel's nf_conntrack_*_timeout, with its defaults. */
const timeoutsSchema = field.mapping('timeouts', {
  tcp: tcpTimeoutsSchema.prefault({}).describe('States of TCP.'),
  udp: udpTimeoutsSchema.prefault({}).describe('UDP.'),
  icmp: timeout(30, 'a request of ICMP'),
  other: timeout(600, 'a connection of another protocol'),
});

const datapathSchema = field.mapping('datapath', {
  socket: field
    .absolutePath('a unix socket', field.socketPathLengthMax)
    .default('/run/vtepd/datapath.sock')
    .describe('Unix socket of vtepd-datapath.'),
  start: field
    .oneOf(datapathStarts)
    .default('auto')
    .describe('auto: vtepd starts vtepd-datapath. external: something else does.'),
  workers: field
    .wholeNumber('a number of workers', 1, workerMax)
    .default(1)
    .describe('Threads that move packets.'),
  flows: field
    .wholeNumber('a number of flows', 64, entriesMax)
    .default(65536)
    .describe('Most megaflows at a time.'),
  exactFlows: powerOfTwo('a number of flows', 64, entriesMax)
    .default(65536)
    .describe('Entries of the exact cache of each worker.'),
  connections: field
    .wholeNumber('a number of connections', 64, entriesMax)
    .default(65536)
    .describe('Most connections at a time, of all workers.'),
  tcpPickUp: field
    .oneOf(tcpPickUps)
    .default('always')
    .describe(
      'Whether TCP connections whose beginning was not seen are taken for new ones, or invalid. ' +
        'after_start: new in the first five minutes of the datapath.',
    ),
  timeouts: timeoutsSchema
    .prefault({})
    .describe('Idle times of connections; a running datapath takes new ones from vtepd.'),
  smallFrames: field
    .wholeNumber('a number of frames', 256, framesMax)
    .default(16384)
    .describe('Frames of 2 KiB, of all workers.'),
  largeFrames: field
    .wholeNumber('a number of frames', 16, framesMax)
    .default(256)
    .describe('Frames for packets of up to 64 KiB, of all workers.'),
  spinMicroseconds: field
    .wholeNumber('a number of microseconds', 0, 1_000_000)
    .default(20)
    .describe('How long an idle worker looks again before it sleeps.'),
});

const ipfixSchema = field.mapping('ipfix', {
  collector: addressAndPort(
    'an address and a UDP port such as 192.0.2.1:4739 or [fd00::1]:4739',
  ).describe('Address and UDP port of the collector.'),
  domain: field
    .wholeNumber('an observation domain', 0, 0xffffffff)
    .default(1)
    .describe('Which exporter this is to the collector.'),
});

const flowLogSchema = field.mapping('flowLog', {
  file: field
    .absolutePath('a file')
    .optional()
    .describe('File of JSON lines, one for each direction of a connection.'),
  fileMegabytes: field
    .wholeNumber('a number of megabytes', 1, 1024)
    .default(100)
    .describe('A file that has grown so large is renamed to FILE.1.'),
  ipfix: ipfixSchema.optional().describe('Records for an IPFIX collector, over UDP.'),
  activeSeconds: field
    .wholeNumber('a number of seconds', 1, 86_400)
    .default(60)
    .describe('What goes on is told of this often, with what came since.'),
  idleSeconds: field
    .wholeNumber('a number of seconds', 1, 3600)
    .default(15)
    .describe('What has had no packet for so long is told of.'),
});

const logSchema = field.mapping('log', {
  level: field.oneOf(logLevels).default('info').describe('Least important lines that are written.'),
});

export const configSchema = field
  .mapping('a configuration', {
    host: field.nameOf('this host, as in the document').describe('Which host of the document.'),
    tunnel: tunnelSchema.prefault({}).describe('The underlay.'),
    control: controlSchema.prefault({}).describe('The control API.'),
    datapath: datapathSchema.prefault({}).describe('The process that moves packets.'),
    state: field
      .absolutePath('a directory')
      .default('/var/lib/vtepd')
      .describe('Directory that keeps the applied document.'),
    log: logSchema.prefault({}).describe('The log.'),
    flowLog: flowLogSchema
      .optional()
      .describe('Who talked to whom, how much, and by which rule; absent: not logged.'),
  })
  .describe('Configuration of vtepd.');

export type Config = DeepReadonly<z.output<typeof configSchema>>;

const configGrammar: Grammar<Config> = {
  schema: configSchema,
  check: checkConfig,
  code: 'ERR_CONFIG_INVALID',
  what: 'configuration',
};

/**
 * Reads the configuration from YAML or JSON text.
 * @param file name for messages, as the user wrote it
 * @throws SwitchError ERR_CONFIG_INVALID with all problems
 */
export function parseConfig(input: string | Uint8Array, file?: string): Config {
  return parseText(configGrammar, input, file);
}

/** Permission bits of the control socket as a number for chmod(2). */
export function socketModeBits(config: Config): number {
  return Number.parseInt(config.control.mode, 8);
}

/** Address and port of "192.0.2.1:7443"; undefined when it is not one. */
export function splitListen(text: string): { host: string; port: number } | undefined {
  const match = /^(?:\[([^\]]+)\]|([^:]+)):(\d{1,5})$/.exec(text);
  const port = Number(match?.[3]);
  if (match === null || port < 1 || port > udpPortMax) return undefined;
  const [, ipv6, ipv4] = match;
  if (ipv6 !== undefined) return isIPv6(ipv6) ? { host: ipv6, port } : undefined;
  return ipv4 !== undefined && isIPv4(ipv4) ? { host: ipv4, port } : undefined;
}

function checkConfig(config: Config): readonly Finding[] {
  const findings: Finding[] = [];
  const { tunnel, control, datapath, flowLog } = config;
  if (tunnel.port === tunnel.genevePort) {
    const message = `VXLAN has port ${tunnel.port}`;
    const expected = 'two UDP ports, one for each encapsulation';
    findings.push({ path: ['tunnel', 'genevePort'], message, expected });
  }
  if (control.socket === datapath.socket) {
    const message = `${datapath.socket} is the socket of the control API`;
    findings.push({ path: ['datapath', 'socket'], message, expected: 'a socket of its own' });
  }
  if (control.listen !== undefined && control.tls === undefined) {
    const expected = 'control.tls with cert, key and ca, since the API is for trusted clients only';
    findings.push({ path: ['control', 'listen'], message: 'there is no control.tls', expected });
  }
  if (control.listen === undefined && control.tls !== undefined) {
    const message = 'there is no control.listen';
    const expected = 'an address to listen at; the unix socket has no TLS';
    findings.push({ path: ['control', 'tls'], message, expected });
  }
  if (flowLog !== undefined && flowLog.file === undefined && flowLog.ipfix === undefined) {
    const expected = 'file or ipfix, so that there is somewhere to log to';
    findings.push({ path: ['flowLog'], message: 'it names no place', expected });
  }
  return findings;
}
