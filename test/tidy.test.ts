// test/tidy.test.ts — is the house in order? The rules that a machine can check.
//
// The tables below are the architecture: who may include or import whom, which folders touch
// every packet, which files have no unit test of their own and why. A new folder needs a line here.

import { homedir } from 'node:os';
import { describe, expect, it } from 'vitest';
import {
  checkFunctions,
  checkHeader,
  checkHotWords,
  checkImports,
  checkIncludes,
  checkLines,
  checkMirrors,
  checkNotes,
  checkPortable,
  checkSyntax,
  isCpp,
  isSource,
  isTypeScript,
  type Layers,
  repository,
  repositoryFiles,
  type SourceFile,
  untestedDropReasons,
} from './support/tidy-rules.ts';

// base ← packet ← flow ← action; port knows packets only; datapath joins them; the rest is on top.
const nativeLayers: Layers = {
  base: [],
  packet: ['base'],
  flow: ['base', 'packet'],
  action: ['base', 'packet', 'flow'],
  port: ['base', 'packet'],
  datapath: ['base', 'packet', 'flow', 'action', 'port'],
  host: ['base', 'packet', 'flow', 'action', 'port', 'datapath'],
  binding: ['base', 'packet', 'flow', 'action', 'port', 'datapath', 'host'],
};

// lib ← flow ← pipeline ← rules, which compiles the model; datapath meets pipeline in slowpath;
// switch.ts, with its parts in switch/, alone joins all; cli speaks the control API.
const sourceLayers: Layers = {
  lib: [],
  flow: ['lib'],
  model: ['lib'],
  pipeline: ['lib', 'flow'],
  rules: ['lib', 'flow', 'pipeline', 'model'],
  datapath: ['lib', 'flow'],
  slowpath: ['lib', 'flow', 'pipeline', 'datapath'],
  control: ['lib', 'model'],
  cli: ['lib', 'control'],
  switch: ['lib', 'flow', 'model', 'pipeline', 'rules', 'datapath', 'slowpath', 'control'],
  'switch.ts': [
    'lib',
    'flow',
    'model',
    'pipeline',
    'rules',
    'datapath',
    'slowpath',
    'control',
    'switch',
  ],
  'main.ts': ['lib', 'model', 'control', 'switch.ts'],
};
const pureFolders = ['pipeline', 'rules', 'flow'];

// What runs once per packet. Tables allocate when they are made, with std::make_unique or vectors.
const hotPath = /^native\/(packet|flow|action)\/|^native\/datapath\/worker[\w]*\.(h|cpp)$/;
// Files of those folders that also set up, which runs before or between packets: the words that
// they may use, and for what.
const hotExceptions: Readonly<Record<string, { words: readonly string[]; why: string }>> = {
  'native/packet/frame_pool.cpp': {
    words: ['throw', 'std::mutex'],
    why: 'making the pool, and the slab trade between workers, once per batch of frames',
  },
  'native/flow/tunnel_endpoints.cpp': {
    words: ['throw'],
    why: 'filling the tables, which workers read only when they are complete',
  },
  'native/datapath/worker.cpp': {
    words: ['throw'],
    why: 'making and starting a worker, which has not seen a packet yet',
  },
};

// Files of src/ without a mirror in test/unit, each with the reason.
const noUnitTest: Readonly<Record<string, string>> = {
  'src/main.ts': 'the program itself: test/e2e starts it',
  'src/switch.ts': 'joins parts around a datapath process: test/e2e/cli and restart.test.ts',
  'src/cli/quickstart.ts': 'a demonstration of the whole: npm start -- --check is its test',
  'src/cli/quickstart/': 'parts of the same demonstration',
  'src/datapath/main.ts': 'the datapath program itself: test/e2e starts it',
  'src/datapath/launch.ts': 'starts that program: test/e2e does',
  'src/datapath/addon.ts': 'loads the addon: test/switch does',
  'src/datapath/layout.ts': 'compared with the addon in test/switch/boundary.test.ts',
  'src/datapath/memory.ts': 'views of memory that the addon makes: test/switch',
  'src/datapath/rings.ts': 'rings that the addon fills: test/switch/boundary.test.ts',
  'src/datapath/counters.ts': 'counters that the addon counts: test/switch, by test/support',
  'src/datapath/adapter.ts': 'the addon as the slow path wants it: test/switch/boundary.test.ts',
  'src/datapath/events.ts': 'what real workers tell: test/switch/{datapath,why}.test.ts',
  'src/slowpath/audit.ts': 'entries of real workers: test/switch/why.test.ts',
  'src/slowpath/drop-ledger.ts': 'drops of real workers: test/switch/why.test.ts',
  'src/switch/entry-lister.ts': 'entries of real workers: test/switch/why.test.ts',
  'src/switch/flow-records.ts': 'what real entries carried: test/switch/why.test.ts, test/e2e',
  'src/switch/explain.ts': 'packets that real workers saw: test/switch/why.test.ts',
  'src/switch/policy-change.ts': 'connections of real workers: test/switch/why.test.ts',
};

const files = repositoryFiles();
const sources = files.filter(isSource);
const below = (prefix: string, list: readonly SourceFile[] = sources): SourceFile[] =>
  list.filter(({ path }) => path.startsWith(prefix));
const printers = /^(src\/cli|bench|deploy)\//;

describe('the house is in order:', () => {
  it('every source file opens with a header that names it and says why it exists', () => {
    const headed = sources.filter(({ path }) => path !== 'vitest.config.ts');
    expect(headed.flatMap(checkHeader)).toEqual([]);
  });

  it('files and lines stay within their limits', () => {
    expect(sources.flatMap(checkLines)).toEqual([]);
  });

  it('functions stay within 70 lines and 5 parameters', () => {
    const measured = sources.filter((file) => isCpp(file) || isTypeScript(file));
    expect(measured.flatMap(checkFunctions)).toEqual([]);
  });

  it('native includes point one way, and only binding/ knows Node', () => {
    const native = below('native/').filter(isCpp);
    expect(native.flatMap((file) => checkIncludes(file, nativeLayers))).toEqual([]);
  });

  it('TypeScript imports point one way, and pipeline and rules do no I/O', () => {
    const typeScript = below('src/').filter(isTypeScript);
    const found = typeScript.flatMap((file) => checkImports(file, sourceLayers, pureFolders));
    expect(found).toEqual([]);
  });

  it('nothing in the packet path throws, allocates, locks or prints', () => {
    const hot = sources.filter(({ path }) => hotPath.test(path));
    const found = hot.flatMap((file) => checkHotWords(file, hotExceptions[file.path]?.words));
    expect(found).toEqual([]);
  });

  it('TypeScript has no any, enum, namespace, default export, or console.log outside cli', () => {
    const checked = sources.filter((f) => isTypeScript(f) && f.path !== 'vitest.config.ts');
    expect(checked.flatMap((file) => checkSyntax(file, printers.test(file.path)))).toEqual([]);
  });

  it('notes to do something name somebody', () => {
    const noted = sources.filter(({ path }) => !path.includes('tidy'));
    expect(noted.flatMap(checkNotes)).toEqual([]);
  });

  it('every drop reason is named by a test that makes a packet end by it', () => {
    const definitions = files.find(({ path }) => path === 'native/base/drop_reasons.def');
    expect(definitions).toBeDefined();
    const tests = below('test/', files).filter(({ path }) => /\.(test\.ts|cpp)$/.test(path));
    const text = tests.map((file) => file.text).join('\n');
    // None is the number for packets that live.
    const untested = untestedDropReasons(definitions?.text ?? '', `${text} None`);
    expect(untested).toEqual([]);
  });

  it('every file of src/ has a unit test of the same name, or a reason not to', () => {
    const tests = below('test/unit/').map(({ path }) => path);
    const excused = Object.keys(noUnitTest);
    expect(checkMirrors(below('src/').filter(isTypeScript), tests, excused)).toEqual([]);
  });

  it('the exceptions are still needed', () => {
    const listed = [...Object.keys(noUnitTest), ...Object.keys(hotExceptions)];
    const isPresent = (name: string) => files.some(({ path }) => path.startsWith(name));
    expect(listed.filter((name) => !isPresent(name))).toEqual([]);
  });

  it('nothing committed names a folder of this machine or a package registry', () => {
    const machinePaths = [repository, homedir()].filter((folder) => folder.length > 4);
    expect(files.flatMap((file) => checkPortable(file, machinePaths))).toEqual([]);
  });
});
