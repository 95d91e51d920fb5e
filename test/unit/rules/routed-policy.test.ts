// rules/routed-policy.test.ts — firewalls of routed packets against the plain firewall.
//
// A packet from a port of one network to a port of another arrives exactly when the plain firewall
// lets the sender send it and the receiver receive it; the router changes nothing of that.

import fc from 'fast-check';
import { expect, test } from 'vitest';
import { ethType, field, newKey, setBytes, setNumber } from '../../../src/flow/key.ts';
import { formatKey } from '../../../src/flow/key-text.ts';
import { parseMac } from '../../../src/lib/addresses.ts';
import type { Document, Port } from '../../../src/model/document.ts';
import { Translation, translate } from '../../../src/pipeline/translate.ts';
import { arbitraryPolicy, arbitraryRequest } from '../../support/arbitrary-policy.ts';
import { allows, bytesOf, hasPorts, type PlainPacket } from '../../support/plain-firewall.ts';
import { TestNetwork } from './network.ts';

const mac = '0e:00:00:00:00:01';
const seed = Number(process.env.VTEP_SEED ?? Math.floor(Math.random() * 2 ** 31));

/** Random firewalls; the ports of network two have addresses of the subnet that is routed. */
const routed = arbitraryPolicy.map((document): Document => {
  const ports = document.ports.map((port) => {
    if (port.network === 'one') return port;
    return { ...port, ips: [port.ips[0]!.replace('10.0.', '10.1.')], allowedAddressPairs: [] };
  });
  const routers = [{ name: 'r', subnets: ['one4', 'routed4'], mac, routes: [] }];
  return { ...document, routers, ports };
});

const scenes = routed.chain((document) => {
  const end = fc.constantFrom(...document.ports);
  // Later fragments may be of replies as well: policy-stage.test.ts asks about them.
  const request = arbitraryRequest.map((one) => ({ ...one, laterFragment: false }));
  const packet = fc.record({ from: end, to: end, request });
  return fc.tuple(fc.constant(document), fc.array(packet, { minLength: 10, maxLength: 10 }));
});

function keyOf(one: TestNetwork, from: Port, to: Port, packet: PlainPacket): Uint32Array {
  const key = newKey();
  setNumber(key, 0, field.in_port, one.numbering.find('devices', from.device!)!);
  setBytes(key, 0, field.eth_src, parseMac(from.mac));
  setBytes(key, 0, field.eth_dst, parseMac(mac));
  setNumber(key, 0, field.eth_type, ethType.ipv4);
  setBytes(key, 0, field.ip_src, bytesOf(from.ips[0]!));
  setBytes(key, 0, field.ip_dst, bytesOf(to.ips[0]!));
  setNumber(key, 0, field.ip_proto, packet.protocol);
  if (packet.protocol === 1) {
    setNumber(key, 0, field.tp_src, packet.type);
    setNumber(key, 0, field.tp_dst, packet.code);
  } else if (hasPorts(packet.protocol)) {
    setNumber(key, 0, field.tp_src, packet.sourcePort);
    setNumber(key, 0, field.tp_dst, packet.destinationPort);
  }
  return key;
}

test(`a routed packet arrives when both firewalls let it pass, with seed ${seed}`, () => {
  let [arrived, denied] = [0, 0];
  fc.assert(
    fc.property(scenes, ([document, packets]) => {
      const one = new TestNetwork(document, 'h1');
      const out = new Translation();
      for (const { from, to, request } of packets) {
        if (from.network === to.network) continue;
        const side = (port: Port) => ({ ...request, remote: bytesOf(port.ips[0]!) });
        const passes =
          allows(document, from, 'egress', side(to)) && allows(document, to, 'ingress', side(from));
        const key = keyOf(one, from, to, request);
        translate(one.pipeline, key, 0, out);
        expect(out.dropReason === 0, formatKey(key)).toBe(passes);
        if (passes) arrived += 1;
        else denied += 1;
      }
    }),
    { seed, numRuns: 500 },
  );
  expect(Math.min(arrived, denied)).toBeGreaterThan(200);
});
