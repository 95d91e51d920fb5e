// pipeline/policy-stage.test.ts — the firewall against the plain one, and what its masks promise.

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  ctState,
  ethType,
  field,
  flowKeyWords,
  fragLater,
  setBytes,
  setNumber,
} from '../../../src/flow/key.ts';
import { formatMatch } from '../../../src/flow/key-text.ts';
import type { Direction, Document, Port } from '../../../src/model/document.ts';
import { documentFromValue } from '../../../src/model/parse.ts';
import { PolicyStage } from '../../../src/pipeline/policy-stage.ts';
import { localLocation, register } from '../../../src/pipeline/registers.ts';
import { denies, newPipelineKey, type Rule } from '../../../src/pipeline/rule.ts';
import {
  arbitraryPolicy,
  arbitraryPort,
  arbitraryRequest,
} from '../../support/arbitrary-policy.ts';
import {
  allows,
  bytesOf,
  hasPorts,
  isOpen,
  type PlainPacket,
} from '../../support/plain-firewall.ts';
import { TestNetwork } from '../rules/network.ts';

const seed = Number(process.env.VTEP_SEED ?? Math.floor(Math.random() * 2 ** 31));
const policies = 10_000;
const maskRuns = 200;
const packetsPerRun = 10;
const minutes = 60_000;

const { tracked } = ctState;
const states = {
  new: ctState.new | tracked,
  est: ctState.est | tracked,
  reply: ctState.est | ctState.rpl | tracked,
  related: ctState.rel | tracked,
  invalid: ctState.inv | tracked,
  untracked: 0,
};
type State = keyof typeof states;

const icmpOf = (packet: PlainPacket) => (packet.remote.length === 4 ? 1 : 58);

/** One firewall of a compiled document, asked about one port. */
class Asked {
  readonly network: TestNetwork;
  readonly #stages: Readonly<Record<Direction, PolicyStage>>;

  constructor(document: Document) {
    this.network = new TestNetwork(document, 'h1');
    const { policy } = this.network.pipeline;
    this.#stages = {
      ingress: new PolicyStage(policy, 'ingress'),
      egress: new PolicyStage(policy, 'egress'),
    };
  }

  /** The packet, or the answer to it, as it passes the port. */
  key(port: Port, direction: Direction, packet: PlainPacket, state: State): Uint32Array {
    const key = newPipelineKey();
    const number = this.network.numbering.find('logicalPorts', port.name)!;
    const reply = state === 'reply';
    const location = localLocation(number);
    key[direction === 'egress' ? register.source : register.destination] = location;
    const six = packet.remote.length === 16;
    setNumber(key, 0, field.eth_type, six ? ethType.ipv6 : ethType.ipv4);
    setNumber(key, 0, field.ip_proto, packet.protocol);
    setNumber(key, 0, field.ip_frag, packet.laterFragment ? fragLater : 0);
    setNumber(key, 0, field.ct_state, states[state]);
    const [four, sixteen] =
      direction === 'egress' ? [field.ip_dst, field.ipv6_dst] : [field.ip_src, field.ipv6_src];
    setBytes(key, 0, six ? sixteen : four, packet.remote);
    if (packet.laterFragment) return key;
    if (packet.protocol === icmpOf(packet)) {
      setNumber(key, 0, field.tp_src, packet.type);
      setNumber(key, 0, field.tp_dst, packet.code);
    } else if (hasPorts(packet.protocol)) {
      setNumber(key, 0, reply ? field.tp_dst : field.tp_src, packet.sourcePort);
      setNumber(key, 0, reply ? field.tp_src : field.tp_dst, packet.destinationPort);
    }
    return key;
  }

  ask(direction: Direction, key: Uint32Array): { rule: Rule | undefined; mask: Uint32Array } {
    const mask = newPipelineKey();
    return { rule: this.#stages[direction].lookup(key, mask), mask };
  }
}

const scene = arbitraryPolicy.chain((document) =>
  fc.tuple(
    fc.constant(document),
    fc.array(
      fc.record({
        port: arbitraryPort(document),
        direction: fc.constantFrom('ingress' as const, 'egress' as const),
        packet: arbitraryRequest,
        state: fc.constantFrom(...(Object.keys(states) as State[])),
        flips: fc.array(fc.nat(flowKeyWords * 32 - 1), { minLength: 8, maxLength: 8 }),
      }),
      { minLength: packetsPerRun, maxLength: packetsPerRun },
    ),
  ),
);

const opposite = { ingress: 'egress', egress: 'ingress' } as const;

/** What the plain firewall says of the packet in this state. */
function plainly(
  document: Document,
  port: Port,
  direction: Direction,
  packet: PlainPacket,
  state: State,
): boolean {
  if (isOpen(document, port)) return true;
  const stateful = isStateful(document, port);
  const forward = allows(document, port, direction, packet);
  if (!stateful) return forward;
  if (packet.laterFragment) return forward || allows(document, port, opposite[direction], packet);
  if (state === 'related') return true;
  // Basics are what nobody has to have a connection for.
  if (state === 'invalid') return forward && isBasic(document, port, direction, packet);
  if (state !== 'reply') return forward;
  // Replies are judged by the rules of the groups alone.
  const way = opposite[direction];
  return allows(document, { ...port, portSecurity: false }, way, { ...packet, sourcePort: 9 });
}

/** A port without groups tracks connections too, if it is subject to ACLs. */
function isStateful({ securityGroups }: Document, port: Port): boolean {
  return port.securityGroups.length === 0 || securityGroups[0]!.stateful;
}

function isBasic(document: Document, port: Port, direction: Direction, packet: PlainPacket) {
  const bare = {
    ...document,
    acls: [],
    securityGroups: [{ name: 'nothing', rules: [], stateful: true }],
  };
  const roles = port.portSecurity && port.securityGroups.length > 0;
  const closed = { ...port, portSecurity: roles, securityGroups: ['nothing'] };
  return allows(bare, closed, direction, packet);
}

describe(`with seed ${seed}`, () => {
  test(
    '100,000 packets in 10,000 policies pass as the plain firewall says',
    () => {
      let [passed, denied] = [0, 0];
      fc.assert(
        fc.property(scene, ([document, list]) => {
          const asked = new Asked(document);
          for (const { port, direction, packet, state } of list) {
            // ICMP has no ports to turn round: test/switch sends its answers.
            const turned = packet.protocol !== icmpOf(packet) && isStateful(document, port);
            if (state === 'reply' && !turned) continue;
            const { rule } = asked.ask(direction, asked.key(port, direction, packet, state));
            const allowed = rule === undefined || !denies(rule);
            const wanted = plainly(document, port, direction, packet, state);
            if (allowed !== wanted) {
              const text = JSON.stringify({ ...packet, remote: [...packet.remote] });
              throw new Error(`${port.name} ${direction} ${state} ${text}: ${rule?.id}`);
            }
            if (allowed) passed += 1;
            else denied += 1;
          }
        }),
        { seed, numRuns: policies },
      );
      expect(Math.min(passed, denied)).toBeGreaterThan((policies * packetsPerRun) / 5);
    },
    minutes,
  );

  test(
    'bits that are wild do not matter, and the masked key leads to the same mask',
    () => {
      let wild = 0;
      fc.assert(
        fc.property(scene, ([document, list]) => {
          const asked = new Asked(document);
          for (const { port, direction, packet, state, flips } of list) {
            const key = asked.key(port, direction, packet, state);
            const { rule, mask } = asked.ask(direction, key);
            const masked = key.map((word, at) => (at < flowKeyWords ? word & mask[at]! : word));
            const again = asked.ask(direction, masked);
            expect([again.rule?.id, [...again.mask]]).toEqual([rule?.id, [...mask]]);
            for (const flip of flips) {
              if ((mask[flip >> 5]! & (1 << (flip & 31))) !== 0) continue;
              wild += 1;
              const other = key.slice();
              other[flip >> 5]! ^= 1 << (flip & 31);
              const met = asked.ask(direction, other);
              expect([met.rule?.id, [...met.mask]]).toEqual([rule?.id, [...mask]]);
            }
          }
        }),
        { seed, numRuns: maskRuns },
      );
      expect(wild).toBeGreaterThan(5 * maskRuns);
    },
    minutes,
  );
});

describe('the mask', () => {
  const rules = [
    { direction: 'ingress', protocol: 'tcp', ports: '80-443', remote: '0.0.0.0/0' },
    { direction: 'ingress', protocol: 'tcp', ports: 22, remoteSet: 'many' },
    { direction: 'egress' },
  ];
  const document = documentFromValue({
    hosts: [{ name: 'h1', tunnelIp: '172.31.1.1' }],
    networks: [{ name: 'blue', vni: 1 }],
    addressSets: [{ name: 'many', addresses: ['192.0.2.0/24', '198.51.100.7'] }],
    securityGroups: [{ name: 'web', rules }],
    ports: [
      {
        ...{ name: 'p1', network: 'blue', mac: '02:00:00:00:00:01', host: 'h1', device: 'p1' },
        securityGroups: ['web'],
      },
    ],
  });
  const asked = new Asked(document);
  const [port] = document.ports as readonly [Port];
  const looked = (direction: Direction, remote: string, destinationPort: number) => {
    const packet = {
      ...{ remote: bytesOf(remote), protocol: 6, sourcePort: 40_000, destinationPort },
      ...{ type: 0, code: 0, laterFragment: false },
    };
    const key = asked.key(port, direction, packet, 'new');
    const { rule, mask } = asked.ask(direction, key);
    return `${rule?.text}: ${formatMatch(key, 0, mask, 0)}`;
  };
  const start = 'eth_type=0x0800,ip_proto=6,ip_frag=0,ct_state=0x21/0x5f';

  test.each([
    ['egress', '203.0.113.1', 443, `egress any to anyone: ${start}`],
    ['ingress', '203.0.113.1', 81, `ingress tcp 80-443 from 0.0.0.0/0: ${start},tp_dst=81/0xfff0`],
    [
      'ingress',
      '203.0.113.1',
      300,
      `ingress tcp 80-443 from 0.0.0.0/0: ${start},tp_dst=300/0xfff0`,
    ],
    [
      'ingress',
      '192.0.2.9',
      22,
      `ingress tcp 22 from set many: ${start},tp_dst=22,ip_src=192.0.2.9/24`,
    ],
    [
      'ingress',
      '10.0.0.1',
      8080,
      `no rule of its groups allows ingress: ${start},tp_dst=8080/0xf000,ip_src=10.0.0.1/8`,
    ],
  ] as const)('of %s, other side %s, port %i is as wide as it may be', (way, remote, to, text) => {
    expect(looked(way, remote, to)).toBe(text);
  });
});
