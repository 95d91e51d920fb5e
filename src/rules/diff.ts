// rules/diff.ts — what to change so that what is installed becomes what was compiled.
//
// Order for the one who applies it: objects that are added or changed, then the rules, then
// revalidation of the flows, and only when no flow refers to them any more the removed objects.

import type { RuleChanges } from '../pipeline/pipeline.ts';
import { type Rule, sameRule } from '../pipeline/rule.ts';
import type { Compiled } from './compile.ts';
import type {
  GroupObject,
  NetworkObject,
  PortObject,
  TunnelObject,
  ZoneObject,
} from './objects.ts';

/** Changes of one kind of object; `put` holds new and changed ones. */
export interface ObjectChanges<Value> {
  readonly put: ReadonlyMap<string, Value>;
  readonly removed: ReadonlyMap<string, Value>;
}

export interface CompiledChanges {
  /** A changed rule is in both lists. */
  readonly rules: RuleChanges;
  readonly ports: ObjectChanges<PortObject>;
  readonly tunnels: ObjectChanges<TunnelObject>;
  readonly groups: ObjectChanges<GroupObject>;
  readonly networks: ObjectChanges<NetworkObject>;
  readonly zones: ObjectChanges<ZoneObject>;
  readonly endpointsChanged: boolean;
  /** Nothing at all is different. */
  readonly empty: boolean;
}

export function diffCompiled(old: Compiled, wanted: Compiled): CompiledChanges {
  const rules = { ...diffRules(old.rules, wanted.rules), policy: wanted.policy };
  const ports = diffObjects(old.objects.ports, wanted.objects.ports);
  const tunnels = diffObjects(old.objects.tunnels, wanted.objects.tunnels);
  const groups = diffObjects(old.objects.groups, wanted.objects.groups);
  const networks = diffObjects(old.objects.networks, wanted.objects.networks);
  const zones = diffObjects(old.objects.zones, wanted.objects.zones);
  const endpointsChanged = old.objects.endpoints.join() !== wanted.objects.endpoints.join();
  const empty =
    rules.removed.length + rules.added.length === 0 &&
    old.policy === wanted.policy &&
    [ports, tunnels, groups, networks, zones].every(
      ({ put, removed }) => put.size + removed.size === 0,
    ) &&
    !endpointsChanged;
  return { rules, ports, tunnels, groups, networks, zones, endpointsChanged, empty };
}

function diffRules(
  old: ReadonlyMap<string, Rule>,
  wanted: ReadonlyMap<string, Rule>,
): Pick<RuleChanges, 'removed' | 'added'> {
  const removed: Rule[] = [];
  const added: Rule[] = [];
  if (old === wanted) return { removed, added };
  for (const [id, rule] of old) {
    const other = wanted.get(id);
    if (other === undefined || !sameRule(rule, other)) removed.push(rule);
  }
  for (const [id, rule] of wanted) {
    const other = old.get(id);
    if (other === undefined || !sameRule(rule, other)) added.push(rule);
  }
  return { removed, added };
}

/** Values are plain data: they are equal when their JSON is. */
function diffObjects<Value>(
  old: ReadonlyMap<string, Value>,
  wanted: ReadonlyMap<string, Value>,
): ObjectChanges<Value> {
  const put = new Map<string, Value>();
  const removed = new Map<string, Value>();
  if (old === wanted) return { put, removed };
  for (const [name, value] of wanted) {
    const other = old.get(name);
    if (other === undefined || JSON.stringify(other) !== JSON.stringify(value)) {
      put.set(name, value);
    }
  }
  for (const [name, value] of old) {
    if (!wanted.has(name)) removed.set(name, value);
  }
  return { put, removed };
}
