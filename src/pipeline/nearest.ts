// pipeline/nearest.ts — of a packet that is denied: the rule that came nearest to letting it pass.
//
// "Why is it dropped" has two answers: the rule that says so, and what would have had to be
// different. Firewall rules are compared by protocol, port and other side; the rules of other
// stages, such as port security, field by field. Looks through all rules of the port: for people,
// never for packets.

import { type Field, fields, flowKeyWords, getBytes, ipProto } from '../flow/key.ts';
import { formatFieldValue, type KeyTextOptions } from '../flow/key-text.ts';
import { cidrContains, tryParseIpOrCidr } from '../lib/addresses.ts';
import type { Pipeline } from './pipeline.ts';
import {
  type Direction,
  everyone,
  isGroupList,
  isSetList,
  type PolicyRule,
  type PortPolicy,
} from './policy.ts';
import { type JudgedPacket, judgedPacket } from './policy-stage.ts';
import { pipelineKeyWords, register } from './registers.ts';
import { denies, formatRuleMatch, type Rule } from './rule.ts';
import type { Stage } from './stages.ts';

export interface NearestRule {
  /** Id of the rule, its object in the document and its place there. */
  readonly rule: string;
  readonly origin: string;
  readonly path: string;
  /** What it matches. */
  readonly match: string;
  /** What of the packet it does not match; or what comes before it. */
  readonly differs: readonly string[];
}

/** How far each difference takes a rule from the packet. */
const weight = { remote: 1, port: 1, protocol: 2, family: 4 };
/** Fields that a rule of another stage may miss by. */
const fieldsMax = 2;

/** The rule nearest to passing the packet, which ended at `stage`; undefined: there is none. */
export function nearestRule(
  pipeline: Pipeline,
  key: Uint32Array,
  stage: Stage,
  options: KeyTextOptions = {},
): NearestRule | undefined {
  if (stage.name === 'egress-policy') return nearestOfPolicy(pipeline, key, 'egress');
  if (stage.name === 'ingress-policy') return nearestOfPolicy(pipeline, key, 'ingress');
  return nearestOfStage(pipeline, key, stage, options);
}

// ---- firewalls --------------------------------------------------------------------------------

interface Candidate {
  readonly rule: PolicyRule;
  readonly distance: number;
  readonly differs: readonly string[];
}

function nearestOfPolicy(
  pipeline: Pipeline,
  key: Uint32Array,
  stage: Direction,
): NearestRule | undefined {
  const { policy } = pipeline.policy;
  const place = stage === 'egress' ? register.source : register.destination;
  const port = policy.ports.get(key[place]!);
  const packet = judgedPacket(key, stage);
  if (port === undefined || packet === undefined) return undefined;
  const holds = membership(pipeline, port, packet);
  let best: Candidate | undefined;
  for (const name of port.tiers.flat()) {
    for (const rule of policy.blocks.get(name)?.rules ?? []) {
      if (!rule.allow || rule.direction !== packet.direction) continue;
      const candidate = compare(rule, packet, holds);
      if (best === undefined || candidate.distance < best.distance) best = candidate;
    }
  }
  if (best === undefined) return undefined;
  const { rule, differs } = best;
  const { id, origin } = rule.rule;
  const match = rule.rule.text ?? id;
  return { rule: id, origin: origin.object, path: origin.path, match, differs };
}

function compare(
  rule: PolicyRule,
  packet: JudgedPacket,
  holds: (list: string) => boolean,
): Candidate {
  const differs: string[] = [];
  let distance = 0;
  const list = rule.remote[packet.family];
  if (list === undefined) {
    differs.push(`it is not about IPv${packet.family}`);
    distance += weight.family;
  } else if (!holds(list)) {
    differs.push(`${packet.remote} is not ${whose(list)}`);
    distance += weight.remote;
  }
  if (rule.protocol !== undefined && rule.protocol !== packet.protocol) {
    differs.push(
      `protocol is ${protocolName(packet.protocol)}, not ${protocolName(rule.protocol)}`,
    );
    distance += weight.protocol;
  } else if (packet.port < rule.first || packet.port > rule.last) {
    const away = Math.min(Math.abs(packet.port - rule.first), Math.abs(packet.port - rule.last));
    differs.push(portDiffers(rule, packet));
    distance += weight.port + away / 0x20000;
  }
  if (differs.length === 0) differs.push('it matches, but a rule of a higher rank comes before it');
  return { rule, distance, differs };
}

function whose(list: string): string {
  if (isSetList(list)) return `in address ${list}`;
  return isGroupList(list) ? `an address of ${list}` : `in ${list}`;
}

function protocolName(number: number): string {
  return Object.entries(ipProto).find(([, value]) => value === number)?.[0] ?? `${number}`;
}

function portDiffers({ first, last }: PolicyRule, { protocol, port }: JudgedPacket): string {
  const icmp = protocol === ipProto.icmp || protocol === ipProto.icmpv6;
  const show = (value: number) => (icmp ? `${value >> 8}/${value & 0xff}` : `${value}`);
  const range = first === last ? show(first) : `${show(first)}-${show(last)}`;
  return `${icmp ? 'type/code' : 'port'} is ${show(port)}, not ${range}`;
}

/** Whether an address list holds the other side; lists are asked once. */
function membership(
  { policy: { policy } }: Pipeline,
  { domain }: PortPolicy,
  { address }: JudgedPacket,
): (list: string) => boolean {
  const known = new Map<string, boolean>([[everyone, true]]);
  const holds = (text: string) => {
    const cidr = tryParseIpOrCidr(text);
    return (
      cidr !== undefined && cidr.bytes.length === address.length && cidrContains(cidr, address)
    );
  };
  return (list) => {
    let answer = known.get(list);
    if (answer === undefined) {
      const lists = isGroupList(list) ? policy.members.get(domain) : policy.lists;
      const named = isGroupList(list) || isSetList(list);
      answer = named ? [...(lists?.get(list)?.addresses ?? [])].some(holds) : holds(list);
      known.set(list, answer);
    }
    return answer;
  };
}

// ---- other stages -----------------------------------------------------------------------------

function nearestOfStage(
  pipeline: Pipeline,
  key: Uint32Array,
  stage: Stage,
  options: KeyTextOptions,
): NearestRule | undefined {
  let best: { rule: Rule; missed: readonly Field[] } | undefined;
  for (const rule of pipeline.rules()) {
    if (rule.stage !== stage.name || denies(rule) || !sameRegisters(rule, key)) continue;
    const missed = fields.filter((entry) => !agrees(rule, key, entry));
    if (missed.length === 0 || missed.length > fieldsMax) continue;
    if (best === undefined || missed.length < best.missed.length) best = { rule, missed };
  }
  if (best === undefined) return undefined;
  const { rule, missed } = best;
  const differs = missed.map((entry) => {
    const is = formatFieldValue(entry, key, 0, options);
    return `${entry.name} is ${is}, not ${formatFieldValue(entry, rule.key, 0, options)}`;
  });
  const match = formatRuleMatch(rule, options);
  return { rule: rule.id, origin: rule.origin.object, path: rule.origin.path, match, differs };
}

/** A rule of another port or network is not near, however much it looks like it. */
function sameRegisters(rule: Rule, key: Uint32Array): boolean {
  let looked = false;
  for (let index = flowKeyWords; index < pipelineKeyWords; index += 1) {
    if (rule.mask[index] === 0) continue;
    looked = true;
    if (((rule.key[index]! ^ key[index]!) & rule.mask[index]!) !== 0) return false;
  }
  return looked;
}

function agrees(rule: Rule, key: Uint32Array, entry: Field): boolean {
  const [wanted, mask, is] = [rule.key, rule.mask, key].map((words) => getBytes(words, 0, entry));
  return is!.every((byte, index) => ((byte ^ wanted![index]!) & mask![index]!) === 0);
}
