// rules/policy-rules.test.ts — rules of the document as rules of the policy, with text and place.

import { describe, expect, test } from 'vitest';
import { dropReason } from '../../../src/flow/drop-reasons.ts';
import type { Rule } from '../../../src/model/document.ts';
import { documentFromValue } from '../../../src/model/parse.ts';
import { everyone, groupList, setList } from '../../../src/pipeline/policy.ts';
import { aclRules, basicBlocks, groupRules } from '../../../src/rules/policy-rules.ts';

function ruleOf(fields: object, stateful = true) {
  const { securityGroups } = documentFromValue({
    addressSets: [{ name: 's' }],
    securityGroups: [{ name: 'web', stateful, rules: [{ direction: 'ingress', ...fields }] }],
  });
  return groupRules(securityGroups[0]!)[0]!;
}

describe('a rule', () => {
  test.each<[Partial<Rule> | object, object, string]>([
    [{}, { 4: everyone, 6: everyone }, 'ingress any from anyone'],
    [{ remote: '0.0.0.0/0' }, { 4: everyone }, 'ingress any from 0.0.0.0/0'],
    [{ remote: '::/0' }, { 6: everyone }, 'ingress any from ::/0'],
    [{ remote: 'fd00::/8' }, { 6: 'fd00::/8' }, 'ingress any from fd00::/8'],
    [{ protocol: 'icmp', remoteSet: 's' }, { 4: setList('s') }, 'ingress icmp from set s'],
    [{ protocol: 58, remoteGroup: 'web' }, { 6: groupList('web') }, 'ingress 58 from group web'],
    [
      { direction: 'egress', protocol: 'tcp', ports: '80-81' },
      { 4: everyone, 6: everyone },
      'egress tcp 80-81 to anyone',
    ],
  ])('%j is for the families that it can be about', (fields, remote, text) => {
    const { rule, ...rest } = ruleOf(fields);
    expect(rest.remote).toEqual(remote);
    expect(rule.text).toBe(text);
    expect(rule.id).toBe(`${rest.direction}-policy/group web/${text}`);
    expect(rule.origin).toEqual({
      object: 'security group web',
      path: 'securityGroups[web].rules[0]',
    });
  });

  test.each([
    [{ protocol: 'tcp', ports: '80-81' }, 80, 81],
    [{ protocol: 'udp' }, 0, 65535],
    [{ protocol: 'icmp', icmpType: 3 }, 768, 1023],
    [{ protocol: 'icmp', icmpType: 3, icmpCode: 4 }, 772, 772],
  ])('%j is for a range of ports, or of types and codes', (fields, first, last) => {
    expect(ruleOf(fields)).toMatchObject({ first, last });
  });

  test('of a stateful group commits what it lets begin', () => {
    expect(ruleOf({}).rule.steps).toEqual([{ kind: 'commit' }]);
    expect(ruleOf({}, false).rule.steps).toEqual([]);
  });
});

describe('an ACL', () => {
  const aclsOf = (...list: object[]) => {
    const { acls } = documentFromValue({
      acls: list.map((fields, index) => ({
        ...{ name: `a${index}`, priority: 7, action: 'drop', direction: 'egress' },
        ...fields,
      })),
    });
    return acls;
  };

  test('ranks by priority, then drop before reject before allow', () => {
    const acls = aclsOf({}, { action: 'reject' }, { action: 'allow' }, { priority: 6 });
    const ranks = aclRules(acls, true).map(({ rank }) => rank);
    expect(ranks).toEqual([...ranks].sort((one, other) => other - one));
    expect(new Set(ranks).size).toBe(4);
  });

  test('says what it does, and where it stands', () => {
    const [drop, reject, allow] = aclRules(
      aclsOf({}, { action: 'reject' }, { action: 'allow', protocol: 'tcp', ports: 80 }),
      true,
    ).map(({ rule }) => rule);
    expect(drop?.steps).toEqual([{ kind: 'drop', reason: dropReason.AclDeny }]);
    expect(reject?.steps).toEqual([{ kind: 'drop', reason: dropReason.AclReject }]);
    expect(allow).toMatchObject({
      steps: [{ kind: 'commit' }],
      text: 'allow egress tcp 80 to anyone',
      priority: 7,
      origin: { object: 'ACL a2', path: 'acls[a2]' },
    });
    expect(aclRules(aclsOf({ action: 'allow' }), false)[0]?.rule.steps).toEqual([]);
  });
});

test('the basics are allowed, and the roles that no ordinary port plays are denied', () => {
  const steps = (name: string) =>
    new Set(basicBlocks.get(name)?.rules.map(({ rule }) => rule.steps.length));
  expect([...steps('basics'), ...steps('roles')]).toEqual([0, 1]);
});
