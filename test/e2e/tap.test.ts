// e2e/tap.test.ts — the scenarios with containers on TAP.

import { scenarios } from './scenarios.ts';

scenarios({
  name: 'TAP',
  port: 'tap',
  uplink: 'af_packet',
  attach: 'tap',
  needs: ['root', 'tun'],
});
