// e2e/mtu.test.ts — packets too large for the underlay are answered, and TCP never meets them.

import { expect, it } from 'vitest';
import { useLab } from '../support/netns.ts';
import { describeWith } from '../support/requires.ts';
import { twoHosts } from '../support/topology.ts';
import { ping, transfer } from '../support/traffic.ts';
import { startBoth } from '../support/vtepd.ts';

// Underlay of 1500 bytes, containers of 1500: what does not fit is 50 bytes of VXLAN over IPv4.
const innerMtu = 1450;

describeWith(['root'], 'an underlay without room for tunnels', () => {
  const useWorld = useLab();

  async function world() {
    const lab = useWorld();
    const topology = await twoHosts(lab, { mtu: 1500, containerMtu: 1500 });
    const daemons = await startBoth(lab, topology, {
      encap: 'vxlan',
      underlay: 'ipv4',
      tenants: false,
    });
    return { lab, topology, ...daemons };
  }

  it('tells the sender of a packet with DF the MTU that fits', async () => {
    const { lab, topology, h1 } = await world();
    const large = await ping(lab, 'c1', topology.containers.c2.ip, { size: 1472, df: true });
    expect(large.text).toMatch(new RegExp(`[Ff]rag needed.*mtu = ${innerMtu}`));
    expect(await h1.dropped('mtu_exceeded')).toBeGreaterThan(0);
    const fits = await ping(lab, 'c1', topology.containers.c2.ip, {
      size: innerMtu - 28,
      df: true,
    });
    expect(fits.received, fits.text).toBe(3);
  });

  it('answers an IPv6 sender with packet-too-big', async () => {
    const { lab, topology } = await world();
    const large = await ping(lab, 'c1', topology.containers.c2.ip6, { size: 1452, df: true });
    expect(large.text).toMatch(/Packet too big.*mtu[ =]+1450|mtu = 1450/);
  });

  it('carries a packet without DF in fragments', async () => {
    const { lab, topology } = await world();
    const large = await ping(lab, 'c1', topology.containers.c2.ip, { size: 1472, df: false });
    expect(large.received, large.text).toBe(3);
  });

  it('clamps the MSS, so that TCP needs no error to fit', async () => {
    const { lab, topology, h1 } = await world();
    const path = { from: 'c1', to: 'c2', address: topology.containers.c2.ip };
    expect(await transfer(lab, path, { bytes: 8 << 20 })).toMatchObject({ ok: true });
    expect(await h1.dropped('mtu_exceeded')).toBe(0);
    const sockets = await transfer(lab, { ...path, address: topology.containers.c2.ip6 });
    expect(sockets).toMatchObject({ ok: true });
    expect(await h1.dropped('mtu_exceeded')).toBe(0);
  });
});
