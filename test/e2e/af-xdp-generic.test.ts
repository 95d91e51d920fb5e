// e2e/af-xdp-generic.test.ts — the scenarios with containers on AF_XDP generic.

import { scenarios } from './scenarios.ts';

scenarios({
  name: 'AF_XDP generic',
  port: 'af_xdp_generic',
  uplink: 'af_xdp_generic',
  attach: 'veth',
  needs: ['root', 'xdp-generic'],
});
