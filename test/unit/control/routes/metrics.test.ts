// control/routes/metrics.test.ts — every number of the switch is there for Prometheus.

import { describe, expect, it } from 'vitest';
import { metricsText } from '../../../../src/control/routes/metrics.ts';
import { documentText, FakeSwitch } from '../fake-switch.ts';

describe('the metrics', () => {
  it('are counters and gauges with labels', async () => {
    const api = new FakeSwitch();
    await api.apply(documentText, 'net.yaml');
    const lines = (await metricsText(api)).split('\n');
    expect(lines).toEqual(
      expect.arrayContaining([
        '# TYPE vtepd_port_rx_packets_total counter',
        'vtepd_port_rx_packets_total{port="c1",device="veth1",uplink="false"} 1500',
        'vtepd_worker_breaths_total{worker="0"} 10',
        'vtepd_drops_total{reason="unknown_mac",port="c1"} 7',
        'vtepd_upcalls_total 10',
        'vtepd_upcall_latency_seconds{quantile="0.99"} 0.00025',
        'vtepd_datapath_restarts_total 1',
        'vtepd_datapath_up 1',
        'vtepd_flows 3',
        'vtepd_tunnel_resolved{remote="h2"} 0',
        'vtepd_info{host="h1",version="0.1.0"} 1',
      ]),
    );
  });

  it('may be read again and again', async () => {
    const api = new FakeSwitch();
    await metricsText(api);
    expect(await metricsText(api)).toContain('vtepd_port_rx_packets_total');
  });
});
