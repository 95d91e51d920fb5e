// pipeline/nearest.test.ts — what would have had to be different.

import { describe, expect, test } from 'vitest';
import { documentFromValue } from '../../../src/model/parse.ts';
import { traceKey } from '../../../src/pipeline/trace.ts';
import { TestNetwork } from '../rules/network.ts';

const groups = [
  {
    name: 'app',
    rules: [
      { direction: 'ingress', protocol: 'tcp', ports: '8000-8010', remoteSet: 'offices' },
      { direction: 'ingress', protocol: 'tcp', ports: '22', remote: '192.0.2.0/24' },
      { direction: 'ingress', protocol: 'icmp', icmpType: 8 },
      { direction: 'egress', protocol: 'udp', ports: '53' },
    ],
  },
];
const port = (last: number, securityGroups: string[]) => ({
  ...{ name: `c${last}`, network: 'blue', mac: `02:00:00:00:00:0${last}`, host: 'h1' },
  ...{ ips: [`10.0.0.${last}`], device: `c${last}`, securityGroups },
});
const document = documentFromValue({
  hosts: [{ name: 'h1', tunnelIp: '172.31.1.1' }],
  networks: [{ name: 'blue', vni: 100 }],
  addressSets: [{ name: 'offices', addresses: ['198.51.100.0/24', '10.0.0.7'] }],
  securityGroups: groups,
  ports: [port(1, []), port(2, ['app'])],
});
const network = new TestNetwork(document, 'h1');

/** What is nearest for a packet from c1 to c2, or the other way. */
function nearest(fields: string, from = 1, to = 2) {
  const key = network.key(
    `in_port=c${from},eth_src=02:00:00:00:00:0${from},eth_dst=02:00:00:00:00:0${to},eth_type=ip,` +
      `ip_src=10.0.0.${from},ip_dst=10.0.0.${to},ct_state=0x21,${fields}`,
  );
  return traceKey(network.pipeline, key).nearest;
}

describe('the nearest rule', () => {
  test.each([
    ['tcp,tp_dst=22', ['10.0.0.1 is not in 192.0.2.0/24']],
    ['tcp,tp_dst=8005', ['10.0.0.1 is not in address set offices']],
    ['icmp,tp_src=13', ['type/code is 13/0, not 8/0-8/255']],
    ['udp,tp_dst=53', ['protocol is udp, not icmp']],
  ])('of ip_proto=%s tells what differs', (fields, differs) => {
    expect(nearest(`ip_proto=${fields}`)?.differs).toEqual(differs);
  });

  test('of what may leave is one of the rules for leaving', () => {
    expect(nearest('ip_proto=udp,tp_dst=54', 2, 1)).toMatchObject({
      path: 'securityGroups[app].rules[3]',
      differs: ['port is 54, not 53'],
    });
  });

  test('is not asked for when the packet passes', () => {
    expect(nearest('ip_proto=icmp,tp_src=8')).toBeNull();
    expect(nearest('ip_proto=udp,tp_dst=53', 2, 1)).toBeNull();
  });
});
