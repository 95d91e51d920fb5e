#!/usr/bin/env node
// cli/quickstart.ts — `npm start`: two hosts and four containers, shown working, on this machine.
//
// Everything lives in network namespaces of its own and is removed at the end, whatever happens.
// --check shows the same and exits with 0 or not, without staying.

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { renderError, SwitchError } from '../lib/errors.ts';
import { Lab, stopChild, waitUntil } from './quickstart/lab.ts';
import * as topology from './quickstart/topology.ts';

const usage = `usage: npm start [-- --check] [--encap vxlan|geneve] [--underlay ipv4|ipv6]
                 [--name NAME]

Two hosts and four containers in network namespaces, two tenants with the same addresses.

  npm start                                stays up until Ctrl-C
  npm start -- --check                     shows, removes, exits 0 when all of it worked
  npm start -- --encap geneve --underlay ipv6`;

const scriptOf = (path: string) => fileURLToPath(new URL(path, import.meta.url));
const daemon = scriptOf('../main.js');
const vtepctl = scriptOf('./vtepctl.js');
const agent = scriptOf('./quickstart/agent.js');
const greetPort = 7000;
const iperfPort = 5201;
const echoBytes = 1 << 20;
const readyTimeoutMs = 10_000;
const lineColumns = 100;

interface Options extends topology.Choice {
  readonly check: boolean;
  readonly name: string;
}

function parse(argv: readonly string[]): Options {
  const { values } = parseArgs({
    args: [...argv],
    options: {
      check: { type: 'boolean', default: false },
      encap: { type: 'string', default: 'vxlan' },
      underlay: { type: 'string', default: 'ipv4' },
      name: { type: 'string', default: 'vtepd' },
      help: { type: 'boolean', short: 'h', default: false },
    },
  });
  if (values.help) {
    process.stdout.write(`${usage}\n`);
    process.exit(0);
  }
  const { check, encap, underlay, name } = values;
  if (encap !== 'vxlan' && encap !== 'geneve') {
    throw new SwitchError('ERR_ARGUMENT_INVALID', `--encap takes vxlan or geneve, not ${encap}`);
  }
  if (underlay !== 'ipv4' && underlay !== 'ipv6') {
    throw new SwitchError('ERR_ARGUMENT_INVALID', `--underlay takes ipv4 or ipv6, not ${underlay}`);
  }
  return { check, encap, underlay, name };
}

const startedAt = performance.now();
function say(text: string): void {
  const seconds = ((performance.now() - startedAt) / 1000).toFixed(1).padStart(5);
  console.log(`${seconds} s  ${text}`);
}

/** Runs one step of the show: what it proves, then the command and its result. */
async function show<T>(what: string, step: () => Promise<T>): Promise<T> {
  try {
    const result = await step();
    say(`ok    ${what}`);
    return result;
  } catch (error) {
    say(`FAIL  ${what}`);
    throw error;
  }
}

async function startHost(lab: Lab, host: topology.HostName, document: string): Promise<void> {
  const config = lab.write(`${host}.yaml`, topology.configText(host, lab.directory));
  const child = lab.spawn(host, `${host}.log`, process.execPath, daemon, '--config', config);
  const socket = join(lab.directory, `${host}.sock`);
  await waitUntil(
    async () => {
      if (child.exitCode !== null) {
        const log = readFileSync(join(lab.directory, `${host}.log`), 'utf8');
        throw new SwitchError('ERR_DATAPATH_CLOSED', `vtepd of ${host} ended:\n${log}`);
      }
      return control(lab, host, 'status').then(
        () => true,
        () => false,
      );
    },
    readyTimeoutMs,
    `vtepd of ${host} at ${socket}`,
  );
  await control(lab, host, 'apply', '-f', document);
}

/** Output of vtepctl on one host. */
function control(lab: Lab, host: topology.HostName, ...args: string[]): Promise<string> {
  const socket = join(lab.directory, `${host}.sock`);
  return lab.exec(host, process.execPath, vtepctl, '--socket', socket, ...args);
}

async function startAll(lab: Lab, options: Options): Promise<void> {
  say(`making 2 hosts, 4 containers, ${options.encap} over ${options.underlay}`);
  topology.build(lab, options);
  const document = lab.write('net.yaml', topology.documentText(options));
  for (const host of topology.hosts) {
    await startHost(lab, host, document);
    const status = JSON.parse(await control(lab, host, 'status', '-o', 'json'));
    say(`${host}: vtepd ${status.pid}, vtepd-datapath ${status.datapath.pid}`);
  }
  for (const { name } of topology.containers) {
    lab.spawn(name, `${name}.log`, process.execPath, agent, 'serve', name, String(greetPort));
  }
}

async function demonstrate(lab: Lab): Promise<void> {
  for (const tenant of ['blue', 'red'] as const) {
    await show(`ping ${tenant}1 → ${tenant}2 (10.0.0.2), across hosts`, async () => {
      const output = await lab.exec(`${tenant}1`, 'ping', '-c', '3', '-i', '0.2', '10.0.0.2');
      if (!/ 0% packet loss/.test(output)) throw new SwitchError('ERR_TIMEOUT', output);
    });
    await show(`TCP ${tenant}1 → 10.0.0.2 reaches ${tenant}2 and nobody else`, async () => {
      const ask = [agent, 'ask', '10.0.0.2', String(greetPort), String(echoBytes)];
      const answered = (await lab.exec(`${tenant}1`, process.execPath, ...ask)).trim();
      if (answered !== `${tenant}2`) {
        throw new SwitchError('ERR_INTERNAL', `10.0.0.2 of ${tenant} was answered by ${answered}`);
      }
    });
  }
  await show('iperf3 blue1 → blue2, offloads untouched', () => iperf(lab));
  await show('vtepctl trace says why', async () => {
    const [from, to] = topology.containers;
    if (from === undefined || to === undefined) return;
    const link = `in_port=blue1,eth_src=${from.mac},eth_dst=${to.mac},eth_type=0x0800`;
    const key = `${link},ip_src=${from.address},ip_dst=${to.address},ip_proto=6,tp_dst=80`;
    console.log(indent(`$ vtepctl trace '${key}'\n${await control(lab, 'h1', 'trace', key)}`));
  });
}

async function iperf(lab: Lab): Promise<void> {
  const installed = await lab.exec('blue2', 'iperf3', '--version').catch(() => '');
  if (installed === '') {
    say('      iperf3 is not installed: throughput not shown');
    return;
  }
  const server = lab.spawn('blue2', 'iperf3.log', 'iperf3', '-s', '-p', String(iperfPort));
  const client = ['iperf3', '-c', '10.0.0.2', '-p', String(iperfPort), '-t', '2', '-J'] as const;
  let bitsPerSecond: number | undefined;
  let said = '';
  await waitUntil(
    async () => {
      // Until the server listens, iperf3 says so, in JSON as well and at times with exit code 0.
      said = await lab.exec('blue1', ...client).catch((error: Error) => error.message);
      bitsPerSecond = receivedPerSecond(said);
      return bitsPerSecond !== undefined;
    },
    readyTimeoutMs,
    () => `iperf3: ${said}`,
  );
  say(`      ${((bitsPerSecond ?? 0) / 1e9).toFixed(2)} Gbit/s, one stream`);
  await stopChild(server);
}

/** Bits per second of a whole run of iperf3; undefined for anything else. */
function receivedPerSecond(text: string): number | undefined {
  try {
    return JSON.parse(text).end?.sum_received?.bits_per_second;
  } catch {
    return undefined;
  }
}

const margin = ' '.repeat(9);

function indent(text: string): string {
  return text.replace(/^/gm, margin).trimEnd();
}

function howToGoOn(lab: Lab): string {
  const [h1] = topology.hosts;
  const socket = join(lab.directory, `${h1}.sock`);
  return [
    'Up until Ctrl-C. In another terminal:',
    ...topology.hosts.map((host) => `  ${host}  control socket ${join(lab.directory, host)}.sock`),
    `  node ${vtepctl} --socket ${socket} status`,
    `  node ${vtepctl} --socket ${socket} flows`,
    `  ip netns exec ${lab.namespaceName('blue1')} ping 10.0.0.2`,
  ].join('\n');
}

function untilInterrupted(): Promise<void> {
  return new Promise((resolve) => {
    const timer = setInterval(() => undefined, 0x7fffffff);
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
      process.once(signal, () => {
        clearInterval(timer);
        resolve();
      });
    }
  });
}

async function main(options: Options): Promise<void> {
  // vtepctl writes into a pipe here: it is told how wide our lines may be.
  process.env.COLUMNS = `${(process.stdout.columns ?? lineColumns) - margin.length}`;
  const lab = new Lab(options.name);
  const interrupted = untilInterrupted();
  const ended = interrupted.then(() => 'interrupted' as const);
  try {
    const work = startAll(lab, options).then(() => demonstrate(lab));
    const first = await Promise.race([work, ended]);
    work.catch(() => undefined); // what an interrupt cut short may fail as it likes
    if (first !== 'interrupted' && !options.check) {
      console.log(howToGoOn(lab));
      await interrupted;
    }
  } finally {
    say('removing everything');
    await lab.remove();
  }
}

try {
  await main(parse(process.argv.slice(2)));
  process.exit(0);
} catch (error) {
  console.error(renderError(error));
  process.exit(1);
}
