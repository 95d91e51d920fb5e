// control/schemas.ts — the answers of the control API as zod schemas, for its OpenAPI text.
//
// The types of switch-api.ts and these schemas are compared by the compiler at the end of the file;
// nothing is parsed with them at run time but the parameters of requests.

import { z } from 'zod';
import { errorCodes } from '../lib/errors.ts';
import type { ObjectChange } from '../model/diff.ts';
import { documentKinds } from '../model/document.ts';
import { existingModes } from './kinds.ts';
import type * as api from './switch-api.ts';

export const jsonType = 'application/json';

const kind = z.enum(documentKinds);
const count = z.number();
const counters = z.record(z.string(), count).describe('Counters by name, since start.');

export const problemSchema = z
  .object({
    file: z.string().optional(),
    line: z.number().optional(),
    column: z.number().optional(),
    path: z.string(),
    message: z.string(),
    expected: z.string(),
  })
  .describe('One thing that is wrong in a document or argument.');

export const errorSchema = z
  .object({
    code: z.enum(Object.values(errorCodes)).describe('Stable code, for scripts.'),
    message: z.string().describe('What is wrong, one sentence that names the thing.'),
    remedy: z.string().describe('What to do about it.'),
    problems: z.array(problemSchema),
  })
  .describe('Why a request failed.');

export const changeSchema = z.object({
  kind,
  name: z.string(),
  change: z.enum(['added', 'removed', 'changed']),
  fields: z.array(
    z.object({ field: z.string(), from: z.unknown().optional(), to: z.unknown().optional() }),
  ),
});

const changesText = z.string().describe('The changes as text for people.');

export const applyResultSchema = z.object({
  revision: z.number(),
  hash: z.string().describe('Fingerprint of what the document means.'),
  changes: z.array(changeSchema),
  notInForce: z
    .array(z.object({ kind, name: z.string(), why: z.string() }))
    .describe('What is accepted but not, or not wholly, in force on this host.'),
  tookMs: z.number(),
  kept: count.describe('Live connections that go on although the document denies them now.'),
});

export const applyAnswerSchema = applyResultSchema.extend({ text: changesText });

export const connectionSchema = z
  .object({
    protocol: z.string(),
    source: z.string(),
    destination: z.string(),
    port: z.string().describe('Where it comes in.'),
    state: z.string().describe('As connection tracking has it; empty: it is not tracked.'),
    kept: z.boolean().describe('It goes on although rules of today deny it.'),
    packets: count,
    bytes: count,
    replyPackets: count,
    replyBytes: count,
    ageSeconds: z.number(),
    idleSeconds: z.number(),
    flows: z.array(z.number()).describe('Ids of the flows that carry it.'),
  })
  .describe('A connection that the exact caches hold.');

const ruleText = {
  rule: z.string().describe('Id of the rule.'),
  origin: z.string().describe('Object of the document behind the rule.'),
  path: z.string().describe('Its place there.'),
};

export const connectionChangeSchema = z
  .object({
    change: z.enum(['cut', 'let through']),
    connection: connectionSchema,
    ...ruleText,
    drop: z.string().describe('Why it would be dropped; empty: it would pass.'),
    canStay: z.boolean().describe('Whether "existing" may let it go on.'),
  })
  .describe('A live connection, or one that is tried in vain, which a document would change.');

export const diffResultSchema = z.object({
  changes: z.array(changeSchema),
  connections: z.array(connectionChangeSchema).describe('At most a thousand.'),
  connectionCount: count,
});

export const diffAnswerSchema = diffResultSchema.extend({ text: changesText });

export const documentAnswerSchema = z.object({
  revision: z.number(),
  hash: z.string(),
  document: z.unknown().describe('The document in force, all defaults filled in.'),
});

export const objectStatusSchema = z.object({
  kind,
  name: z.string(),
  state: z.enum(['active', 'partial', 'waiting', 'elsewhere']),
  why: z.string().describe('What is not in force and why; empty when active or elsewhere.'),
  spec: z.record(z.string(), z.unknown()).describe('The object as in the document.'),
  facts: z.record(z.string(), z.unknown()).describe('What was found on this host.'),
});

export const statusSchema = z.object({
  version: z.string(),
  host: z.string(),
  pid: z.number(),
  startedMs: z.number(),
  revision: z.number(),
  hash: z.string(),
  datapath: z.object({
    state: z.enum(['attached', 'starting', 'gone']),
    pid: z.number(),
    workers: z.number(),
    sinceMs: z.number(),
    restarts: z.number(),
    lastRecoveryMs: z.number().nullable(),
    reconciled: z
      .object({ kept: count, replaced: count, removed: count, expired: count })
      .nullable(),
  }),
  counts: z.object({
    ports: count,
    tunnels: count,
    networks: count,
    rules: count,
    flows: count,
    learned: count,
  }),
  audit: z
    .object({ audited: count, mismatches: count })
    .describe('Live entries held against the rules, and those that were wrong.'),
  flowLog: z
    .object({ written: count, lost: count })
    .nullable()
    .describe('Records of the flow log, and those that were lost.'),
  warnings: z.array(z.string()),
});

export const flowSchema = z.object({
  id: z.number().describe('Slot in the flow store.'),
  match: z.string(),
  actions: z.string(),
  packets: count,
  bytes: count,
  idleSeconds: z.number().nullable(),
  ageSeconds: z.number(),
  decision: z.array(z.string()).describe('Rules that made the flow, stage by stage.'),
});

export const traceRequestSchema = z.object({
  key: z.string().max(4096).describe('Fields of a packet: in_port=c1,eth_dst=...,ip_dst=...'),
});

export const traceSchema = z.object({
  key: z.string(),
  steps: z.array(
    z.object({
      stage: z.string(),
      rule: z.string(),
      origin: z.string().describe('Object of the document behind the rule.'),
      path: z.string().describe('Its place there.'),
      detail: z.string(),
    }),
  ),
  revision: count.describe('Of the document that the rules come from.'),
  megaflow: z.string(),
  actions: z.string(),
  drop: z.string().describe('Reason; empty when the packet is forwarded.'),
  dropHelp: z.string(),
  nearest: z
    .object({ ...ruleText, match: z.string(), differs: z.array(z.string()) })
    .nullable()
    .describe('The rule that came nearest to letting a denied packet pass.'),
});

export const whyRequestSchema = z.object({
  about: z
    .string()
    .max(4096)
    .describe('"tcp 10.0.0.1:40000 10.0.0.2:80", the id of a flow, or "last-drop PORT".'),
});

export const whySchema = z.object({
  about: z.string(),
  revision: count,
  packets: z.array(
    z.object({
      source: z.enum(['connection', 'flow', 'drop']),
      packets: count,
      bytes: count,
      ageSeconds: z.number().nullable(),
      idleSeconds: z.number().nullable(),
      state: z.string(),
      flow: z.number().describe('Id of the flow that decides; 0: none.'),
      decidedRevision: count.describe('Revision that the verdict was made or confirmed under.'),
      decidedBy: z.string().describe('Rule that settled the verdict in force.'),
      origin: ruleText.origin,
      path: ruleText.path,
      drop: z.string().describe('Reason; empty when it is forwarded.'),
      dropHelp: z.string(),
      timeMs: z.number().nullable(),
      packet: z.string().describe('Bytes of a dropped packet, base64; empty: not kept.'),
      trace: traceSchema,
      agrees: z.boolean().describe('Whether the rules of today say the same.'),
    }),
  ),
});

export const dropSchema = z.object({
  reason: z.string(),
  help: z.string(),
  packets: count,
  ports: z.array(z.object({ port: z.string(), packets: count })),
  rules: z
    .array(
      z.object({
        port: z.string(),
        ...ruleText,
        packets: count.nullable(),
        recent: z
          .object({ timeMs: z.number(), bytes: z.string(), originalBytes: count })
          .nullable()
          .describe('A recent packet, base64.'),
      }),
    )
    .describe('By port and rule, with a recent packet of each.'),
});

export const topSchema = z.object({
  timeMs: z.number(),
  ports: z.array(
    z.object({
      port: z.string(),
      device: z.string(),
      number: z.number(),
      uplink: z.boolean(),
      counters,
    }),
  ),
  workers: z.array(z.object({ worker: z.number(), counters })),
  slowPath: z.object({
    upcalls: count,
    flowsInstalled: count,
    flowsRemoved: count,
    latencyUs: z.object({ p50: z.number(), p99: z.number(), max: z.number() }),
  }),
});

/** Numbers of a query arrive as text. */
function queryNumber(what: string, max: number) {
  const expected = `${what} from 1 to ${max}`;
  return z.coerce.number({ error: expected }).int(expected).min(1, expected).max(max, expected);
}

export const captureQuerySchema = z.object({
  port: z.string().max(255).optional().describe('Port, device or "uplink"; without it all ports.'),
  count: queryNumber('a number of packets', 1e9).optional().describe('Ends after so many packets.'),
  seconds: queryNumber('a number of seconds', 86_400)
    .optional()
    .describe('Ends after so many seconds.'),
});

export const fileQuerySchema = z.object({
  file: z.string().max(4096).optional().describe('Name of the file, for messages.'),
});

export const applyQuerySchema = fileQuerySchema.extend({
  existing: z
    .enum(existingModes, { error: `one of ${existingModes.join(', ')}` })
    .optional()
    .describe(
      'What becomes of live connections that the document cuts. Unless said, who speaks next is ' +
        'reset; reset tells silent ends, too, and cuts what was kept.',
    ),
  drainSeconds: queryNumber('a number of seconds', 86_400)
    .optional()
    .describe('How long connections go on that are drained.'),
});

export const watchEventSchema = z
  .object({
    timeMs: z.number(),
    kind: z.enum(['applied', 'port', 'tunnel', 'datapath', 'warning', 'learned']),
    name: z.string(),
    message: z.string(),
  })
  .describe('One line of the stream.');

// What follows is for the compiler only: schema and interface say the same.
type Same<One, Other> = [One] extends [Other] ? ([Other] extends [One] ? true : never) : never;
/** JSON leaves out what is undefined, so `from` and `to` of a change are optional in the answer. */
type Fits<One, Other> = [Other] extends [One] ? true : never;
type Schema<T extends z.ZodType> = z.output<T>;
/** Read-only or not is nothing that JSON knows. */
type Writable<T> = T extends readonly (infer Entry)[]
  ? Writable<Entry>[]
  : T extends object
    ? { -readonly [Key in keyof T]: Writable<T[Key]> }
    : T;

/** Fails to compile when a schema differs from what the switch answers. */
export const schemasAgree: {
  readonly applyResult: Fits<Schema<typeof applyResultSchema>, Writable<api.ApplyResult>>;
  readonly change: Fits<Schema<typeof changeSchema>, Writable<ObjectChange>>;
  readonly objectStatus: Same<Schema<typeof objectStatusSchema>, Writable<api.ObjectStatus>>;
  readonly status: Same<Schema<typeof statusSchema>, Writable<api.SwitchStatus>>;
  readonly flow: Same<Schema<typeof flowSchema>, Writable<api.FlowView>>;
  readonly trace: Same<Schema<typeof traceSchema>, Writable<api.TraceResult>>;
  readonly why: Same<Schema<typeof whySchema>, Writable<api.WhyResult>>;
  readonly connection: Same<Schema<typeof connectionSchema>, Writable<api.ConnectionView>>;
  readonly diff: Fits<Schema<typeof diffResultSchema>, Writable<api.DiffResult>>;
  readonly drop: Same<Schema<typeof dropSchema>, Writable<api.DropView>>;
  readonly top: Same<Schema<typeof topSchema>, Writable<api.TopView>>;
  readonly watchEvent: Same<Schema<typeof watchEventSchema>, Writable<api.WatchEvent>>;
  readonly capture: Same<Schema<typeof captureQuerySchema>, Writable<api.CaptureRequest>>;
} = {
  applyResult: true,
  change: true,
  objectStatus: true,
  status: true,
  flow: true,
  trace: true,
  why: true,
  connection: true,
  diff: true,
  drop: true,
  top: true,
  watchEvent: true,
  capture: true,
};
