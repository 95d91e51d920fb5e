// pipeline/trace.test.ts — what people read says what the walk did.

import { describe, expect, test } from 'vitest';
import { formatActions } from '../../../src/flow/actions.ts';
import { traceKey } from '../../../src/pipeline/trace.ts';
import { example, TestNetwork } from '../rules/network.ts';

const network = new TestNetwork(example('two-hosts.yaml'), 'h1');
const names = {
  portName: (number: number) => network.numbering.name('devices', number),
  tunnelName: (number: number) => network.numbering.name('tunnels', number),
  groupName: (number: number) => network.numbering.name('groups', number),
};
const trace = (text: string) => traceKey(network.pipeline, network.key(text), 0, names);
const packet =
  'in_port=blue1,eth_src=02:00:00:00:01:01,eth_dst=02:00:00:00:01:02,eth_type=ip,ip_src=10.0.0.1';

describe('a trace', () => {
  test('names stage, rule, object and place in the document, step by step', () => {
    const { steps, drop } = trace(packet);
    expect(drop).toBe('');
    expect(steps.map(({ stage, rule, origin, path }) => [stage, rule, origin, path])).toEqual([
      ['classify', 'classify/port/blue1', 'port blue1', 'ports[blue1].device'],
      ['admit', '', '', ''],
      ['tunnel-source', '', '', ''],
      ['port-mac', 'port-mac/blue1/02:00:00:00:01:01', 'port blue1', 'ports[blue1].portSecurity'],
      [
        'port-address',
        'port-address/blue1/ipv4/02:00:00:00:01:01/10.0.0.1/32',
        'port blue1',
        'ports[blue1].ips',
      ],
      ['port-nd', '', '', ''],
      ['learn', '', '', ''],
      ['neighbours', '', '', ''],
      ['egress-policy', '', '', ''],
      ['router', '', '', ''],
      ['route', '', '', ''],
      ['next-hop', '', '', ''],
      ['l2', 'l2/blue/port/blue2', 'port blue2', 'ports[blue2].mac'],
      ['ingress-policy', '', '', ''],
      ['commit', '', '', ''],
      ['deliver', 'deliver/tunnel/blue/h2/vxlan', 'host h2', 'hosts[h2].tunnelIp'],
    ]);
    expect(steps[1]?.detail).toBe('no rule matches: next');
    expect(steps[12]?.detail).toBe(
      'priority 100, network=100,eth_dst=02:00:00:00:01:02: destination=tunnel(1), ' +
        'goto ingress-policy',
    );
  });

  test('ends with the megaflow and actions that an upcall would install', () => {
    const out = network.walk(packet);
    const { megaflow, actions } = trace(packet);
    expect(actions).toBe(formatActions(out.actions, 0, out.actionCount, names));
    expect(megaflow).toBe(network.megaflow(packet));
  });

  test('explains a drop', () => {
    const { drop, dropHelp, steps } = trace(packet.replace('10.0.0.1', '10.0.0.9'));
    expect([drop, dropHelp]).toEqual([
      'spoofed_ip',
      "the source IP is not one of the port's (port security)",
    ]);
    expect(steps.at(-1)).toMatchObject({ stage: 'port-address', origin: 'port blue1' });
    expect(trace('in_port=999').steps[0]?.detail).toBe('no rule matches: drop(unknown_port)');
  });

  test('grows its mask from stage to stage', () => {
    const lengths = trace(packet).steps.map(({ mask }) => mask.split(',').length);
    expect(lengths).toEqual([...lengths].sort((a, b) => a - b));
    expect(lengths.at(-1)).toBeGreaterThan(lengths[0]!);
  });

  test('says what would be learned, and learns nothing', () => {
    const trunk = new TestNetwork(example('trunk.yaml'), 'h1');
    const key = trunk.key('in_port=t1,vlan_vid=30,eth_src=02:77:00:00:00:01');
    expect(traceKey(trunk.pipeline, key).learn).toBe(true);
    expect(traceKey(trunk.pipeline, key).learn).toBe(true);
  });
});
