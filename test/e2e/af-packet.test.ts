// e2e/af-packet.test.ts — the scenarios with containers on AF_PACKET.

import { scenarios } from './scenarios.ts';

scenarios({
  name: 'AF_PACKET',
  port: 'af_packet',
  uplink: 'af_packet',
  attach: 'veth',
  needs: ['root'],
});
