// cli/vtepctl.test.ts — help, wrong input, and one exit code per kind of failure.

import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { verbNames } from '../../../src/cli/verbs.ts';
import { SwitchError } from '../../../src/lib/errors.ts';
import { documentText, type Served, serveFake } from '../control/fake-switch.ts';
import { runVtepctl } from './run-vtepctl.ts';

let served: Served;
beforeAll(async () => {
  served = await serveFake();
  await served.api.apply(documentText, 'net.yaml');
});
afterAll(() => served.close());

function ctl(...argv: string[]) {
  return runVtepctl(['--socket', served.socket, ...argv]);
}

describe('vtepctl', () => {
  it('lists its verbs, exit codes and environment', async () => {
    const { code, stdout } = await runVtepctl(['--help']);
    expect(code).toBe(0);
    expect(stdout).toMatchSnapshot();
  });

  it.each(verbNames)('%s --help describes it with examples', async (verb) => {
    const { code, stdout } = await runVtepctl([verb, '--help']);
    expect(code).toBe(0);
    expect(stdout).toContain(`Examples:\n  `);
    expect(stdout).toMatchSnapshot();
  });

  it('help VERB is VERB --help', async () => {
    const [one, other] = [await runVtepctl(['help', 'get']), await runVtepctl(['get', '--help'])];
    expect(one.stdout).toBe(other.stdout);
  });

  it('prints its version', async () => {
    const { code, stdout } = await runVtepctl(['--version']);
    expect([code, stdout]).toEqual([0, expect.stringMatching(/^\d+\.\d+\.\d+\n$/)]);
  });

  it('takes -o before and after the verb', async () => {
    const before = await ctl('-o', 'json', 'status');
    const after = await ctl('status', '--output', 'json');
    expect(JSON.parse(before.stdout).host).toBe('h1');
    expect(after.stdout).toBe(before.stdout);
  });

  it('takes the socket from the environment', async () => {
    const { code } = await runVtepctl(['status'], { env: { VTEPCTL_SOCKET: served.socket } });
    expect(code).toBe(0);
  });

  it.each([
    [[], 'Usage: vtepctl'],
    [['staus'], "vtepctl: unknown command 'staus'\n(Did you mean status?)\n"],
    [['status', 'extra'], 'vtepctl: too many arguments'],
    [['status', '-o', 'xml'], "vtepctl: option '-o, --output <format>' argument 'xml' is invalid"],
    [['status', '--nosuch'], "vtepctl: unknown option '--nosuch'"],
    [['apply'], "vtepctl: required option '-f, --file <file>' not specified"],
    [['apply', '-f', '/nonexistent/net.yaml'], 'vtepctl: cannot read /nonexistent/net.yaml'],
    [['get'], "vtepctl: missing required argument 'kind'"],
    [['get', 'prots'], 'vtepctl: there is no kind "prots" (did you mean "ports"?)'],
    [['trace'], "vtepctl: missing required argument 'key'"],
    [['flows', '--sort', 'size'], "vtepctl: option '--sort <column>' argument 'size' is invalid"],
    [['flows', '--limit', '0'], 'vtepctl: --limit: "0" is not a whole number from 1 to'],
    [['capture', '-c', 'x'], 'vtepctl: --count: "x" is not a whole number from 1 to'],
    [['completion', 'csh'], 'vtepctl: there is no completion for "csh"'],
  ])('refuses %j with exit code 2', async (argv, message) => {
    const { code, stdout, stderr } = await ctl(...argv);
    expect(code).toBe(2);
    expect(stderr.startsWith(message), stderr).toBe(true);
    expect(stdout).toBe('');
  });

  it('exits with 3 when no vtepd answers', async () => {
    const { code, stderr } = await runVtepctl(['--socket', '/nonexistent/s', 'status']);
    expect(code).toBe(3);
    expect(stderr).toBe(
      'vtepctl: no vtepd serves /nonexistent/s (ERR_TIMEOUT)\n' +
        'Start vtepd, or name its control.socket with --socket.\n',
    );
  });

  it('exits with 4 for a wrong document, and shows file, line and field', async () => {
    const argv = ['--socket', served.socket, 'apply', '-f', '-'];
    const { code, stderr } = await runVtepctl(argv, { stdin: 'ports:\n  - { nam: x }\n' });
    expect(code).toBe(4);
    expect(stderr).toContain('(ERR_DOCUMENT_INVALID)');
    expect(stderr).toContain('  (stdin):2:');
    expect(stderr).toContain('ports[0]');
  });

  it.each([
    ['get', 'port', 'zz'],
    ['flows', '--port', 'zz'],
    ['capture', 'nosuch'],
  ])('%s %s %s exits with 5', async (...argv) => {
    const { code, stderr } = await ctl(...argv);
    expect([code, stderr]).toEqual([5, expect.stringMatching(/^vtepctl: th.* "(zz|nosuch)"/)]);
  });

  it('exits with 1 for everything else', async () => {
    served.api.failure = new SwitchError('ERR_DATAPATH_CLOSED', 'the datapath is gone');
    const { code, stderr } = await ctl('status');
    served.api.failure = undefined;
    expect(code).toBe(1);
    expect(stderr).toContain('the datapath is gone (ERR_DATAPATH_CLOSED)');
  });

  it('is a program for Node', () => {
    const path = fileURLToPath(new URL('../../../src/cli/vtepctl.ts', import.meta.url));
    expect(readFileSync(path, 'utf8')).toMatch(/^#!\/usr\/bin\/env node\n/);
  });
});
