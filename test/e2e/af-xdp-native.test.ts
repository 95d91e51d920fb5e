// e2e/af-xdp-native.test.ts — the scenarios with containers on AF_XDP native.

import { scenarios } from './scenarios.ts';

scenarios({
  name: 'AF_XDP native',
  port: 'af_xdp_native',
  uplink: 'af_xdp_native',
  attach: 'veth',
  needs: ['root', 'xdp-native'],
});
