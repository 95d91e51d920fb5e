// e2e/floods.test.ts — a container floods its host with what the switch answers itself; its
// neighbour's questions are answered all the same, and the flood is named.
//
// c1 floods, c3 on the same host asks. One worker serves both, so that they share all they can.

import { expect, it } from 'vitest';
import type { DropView } from '../../src/control/switch-api.ts';
import { flood } from '../support/flood.ts';
import { type Lab, useLab } from '../support/netns.ts';
import { eth } from '../support/packet.ts';
import { describeWith } from '../support/requires.ts';
import { ping } from '../support/traffic.ts';
import { gatewayMac, ip, ip6, twoSubnets } from '../support/two-subnets.ts';
import type { Vtepd } from '../support/vtepd.ts';

const seconds = 4;
const mac = '02:00:00:00:00:01';
const toGateway = eth({ src: mac, dst: gatewayMac });
const fromC1 = { src: ip('c1') };

/** What one flooder sends. */
const floods = {
  'ARP requests': [
    eth({ src: mac, dst: 'ff:ff:ff:ff:ff:ff' }).arp({
      senderMac: mac,
      senderIp: ip('c1'),
      targetIp: '10.0.0.254',
    }),
  ],
  'neighbour solicitations': [
    eth({ src: mac, dst: '33:33:ff:00:00:fe' })
      .ip6({ src: ip6('c1'), dst: 'ff02::1:ff00:fe', hopLimit: 255 })
      .icmp6({ type: 135 })
      .payload(Buffer.from('fd0000100000000000000000000000fe0101020000000001', 'hex')),
  ],
  'pings of the gateway': [toGateway.ip({ ...fromC1, dst: '10.0.0.254' }).echo()],
  'packets that end in errors': [
    toGateway.ip({ ...fromC1, dst: ip('c3'), ttl: 1 }).udp(),
    toGateway.ip({ ...fromC1, dst: '203.0.113.1' }).udp(),
    toGateway.ip({ ...fromC1, dst: '10.0.2.99' }).udp(),
  ],
};

/** Drops of a reason at a port. */
async function droppedAt(h1: Vtepd, reason: string, port: string): Promise<number> {
  const drops: DropView[] = await h1.json('drops');
  const ports = drops.find((drop) => drop.reason === reason)?.ports ?? [];
  return ports.find((one) => one.port === port)?.packets ?? 0;
}

/** Everything that c3 asks the switch for; each question is answered, and soon. */
async function expectAnswers(lab: Lab) {
  for (const gateway of ['10.0.2.254', 'fd00:20::fe']) {
    await lab.must('c3', 'ip', ['neighbour', 'flush', 'dev', 'eth0']);
    const pinged = await ping(lab, 'c3', gateway, { count: 10 });
    expect(pinged, pinged.text).toMatchObject({ received: 10, duplicates: 0 });
    expect(pinged.averageMs, pinged.text).toBeLessThan(50);
  }
  for (const target of [ip('c1'), ip6('c1')]) {
    const died = await lab.exec('c3', 'ping', ['-n', '-c', '2', '-i', '0.1', '-t', '1', target]);
    expect(died.stdout).toMatch(/From (10\.0\.2\.254|fd00:20::fe) .*[Tt]ime (to live )?exceeded/);
    expect(died.stdout).toContain('+2 errors');
  }
}

describeWith(['root', 'veth'], 'a container that floods with', () => {
  const useWorld = useLab();

  for (const [what, packets] of Object.entries(floods)) {
    it(`${what} is answered within its part, and its neighbour as ever`, async () => {
      const { lab, h1 } = await twoSubnets(useWorld());
      const frames = packets.map((packet) => packet.build());
      const running = await flood(lab, 'c1', seconds, frames);
      await expectAnswers(lab);
      const sent = await running.end();
      const cut = await droppedAt(h1, 'answer_limit', 'c1');
      expect(cut, `of ${sent}`).toBeGreaterThan(sent / 10);
      expect(await droppedAt(h1, 'answer_limit', 'c3')).toBe(0);
      expect(await h1.ctl('drops')).toMatch(/answer_limit/);
      await expectAnswers(lab);
    });
  }
});
