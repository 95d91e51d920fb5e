// flow/drop-reasons.ts — why a packet ended: number, name and help of every drop reason.
//
// The table is native/base/drop_reasons.def in TypeScript; its order is the number, so it grows at
// the end only. A test compares the two line by line.

/** Symbol in code, name for people (`vtepctl drops`), one sentence of help. */
const table = [
  ['None', 'none', 'not dropped'],
  ['TooShort', 'too_short', 'the frame ends inside its Ethernet header'],
  ['BadVlan', 'bad_vlan', 'the frame ends inside a VLAN tag, or carries more than two'],
  ['BadArp', 'bad_arp', 'the ARP packet is truncated or not Ethernet/IPv4 (RFC 826)'],
  [
    'BadIpv4',
    'bad_ipv4',
    "the IPv4 header is truncated or contradicts the frame's length (RFC 791)",
  ],
  ['BadIpv4Checksum', 'bad_ipv4_checksum', 'the IPv4 header checksum is wrong'],
  [
    'BadIpv6',
    'bad_ipv6',
    "the IPv6 header is truncated or contradicts the frame's length (RFC 8200)",
  ],
  [
    'BadIpv6Extension',
    'bad_ipv6_extension',
    'an IPv6 extension header is truncated or the chain is too long',
  ],
  [
    'BadL4',
    'bad_l4',
    "the TCP, UDP, SCTP or ICMP header is truncated or contradicts the packet's length",
  ],
  ['TooLong', 'too_long', 'the frame does not fit a frame buffer'],
  ['BadOffload', 'bad_offload', 'the offload header of the device contradicts the packet'],
  [
    'OuterFragment',
    'outer_fragment',
    "a fragment of a tunnel packet: the underlay's MTU is too small",
  ],
  ['BadOuterChecksum', 'bad_outer_checksum', "the tunnel packet's UDP checksum is wrong"],
  ['BadOuterUdp', 'bad_outer_udp', "the tunnel packet's UDP header contradicts its length"],
  [
    'ZeroUdp6Checksum',
    'zero_udp6_checksum',
    'UDP over IPv6 without checksum, and the tunnel does not allow it (RFC 6935)',
  ],
  ['BadVxlan', 'bad_vxlan', 'the VXLAN header is truncated or its I flag is not set (RFC 7348)'],
  ['BadGeneve', 'bad_geneve', 'the Geneve header is truncated or of another version (RFC 8926)'],
  [
    'GeneveCriticalOption',
    'geneve_critical_option',
    'a critical Geneve option that we do not know (RFC 8926)',
  ],
  ['GeneveControl', 'geneve_control', 'a Geneve control packet (O bit)'],
  ['GeneveProtocol', 'geneve_protocol', 'a Geneve payload that is not Ethernet'],
  ['UnknownVtep', 'unknown_vtep', 'a tunnel packet from an address that is no VTEP of the model'],
  ['UnknownVni', 'unknown_vni', 'a tunnel packet for a VNI that no network of the model has'],
  ['WrongEncap', 'wrong_encap', "a tunnel packet with the other encapsulation than its network's"],
  [
    'EcnIllegal',
    'ecn_illegal',
    'outer ECN says congestion, the inner packet is not ECN-capable (RFC 6040)',
  ],
  [
    'UpcallRingFull',
    'upcall_ring_full',
    'the slow path is behind or absent: the upcall ring is full',
  ],
  ['UpcallPortLimit', 'upcall_port_limit', 'the port used up its share of the upcall ring'],
  ['UpcallPending', 'upcall_pending', 'too many packets of one new flow wait for its verdict'],
  ['UpcallTooLong', 'upcall_too_long', 'the packet is too long for an upcall record'],
  [
    'SlowPathError',
    'slow_path_error',
    'the slow path failed on this packet: a bug, see the log of vtepd',
  ],
  ['NoVerdict', 'no_verdict', 'the slow path gave no verdict for the packet'],
  ['BadVerdict', 'bad_verdict', 'a verdict or command named a flow or action that does not exist'],
  ['FlowTableFull', 'flow_table_full', 'the megaflow table is full'],
  ['NoOutput', 'no_output', 'the actions of the flow send the packet nowhere'],
  ['PortGone', 'port_gone', 'the output port does not exist any more'],
  ['SamePort', 'same_port', 'the packet would leave by the port it came in by'],
  ['TunnelGone', 'tunnel_gone', 'the output tunnel does not exist any more'],
  [
    'TunnelUnresolved',
    'tunnel_unresolved',
    'no route or no neighbour entry to the remote VTEP yet',
  ],
  ['GroupEmpty', 'group_empty', 'the replication group has no member'],
  [
    'MtuExceeded',
    'mtu_exceeded',
    'too large for the path; answered with ICMP too-big where the protocol allows',
  ],
  ['TtlExceeded', 'ttl_exceeded', 'the TTL or hop limit reached zero'],
  ['MeterExceeded', 'meter_exceeded', 'above the rate of its meter'],
  ['NoFrames', 'no_frames', 'no free frame buffer'],
  ['NoHeadroom', 'no_headroom', 'no room before the packet for an outer header'],
  ['BadSegmentation', 'bad_segmentation', 'a superpacket that cannot be segmented'],
  ['TxFull', 'tx_full', "the device's transmit queue is full"],
  ['TxError', 'tx_error', 'the device refused the frame'],
  ['TxTooLong', 'tx_too_long', "the frame is longer than the device's MTU"],
  [
    'UnknownPort',
    'unknown_port',
    'the packet came in by a port or VLAN that the model does not know',
  ],
  ['PortDown', 'port_down', 'the logical port is administratively down'],
  ['SpoofedMac', 'spoofed_mac', "the source MAC is not one of the port's (port security)"],
  ['SpoofedIp', 'spoofed_ip', "the source IP is not one of the port's (port security)"],
  [
    'SpoofedArp',
    'spoofed_arp',
    "an ARP or ND message claims an address that is not the port's (port security)",
  ],
  [
    'ReservedMac',
    'reserved_mac',
    'a link-local protocol frame (01:80:c2:00:00:0x) is not forwarded',
  ],
  ['BadSourceMac', 'bad_source_mac', 'the source MAC is a group address or zero'],
  ['UnknownMac', 'unknown_mac', 'no port of the network has the destination MAC'],
  [
    'UnknownNeighbour',
    'unknown_neighbour',
    'ARP or ND asked for an address that no port of the network has',
  ],
  ['LearnLimit', 'learn_limit', 'the port has learned as many MACs as it may'],
  ['AclDeny', 'acl_deny', 'denied by a firewall rule'],
  ['NoRoute', 'no_route', 'no route to the destination'],
  [
    'FromTunnelToTunnel',
    'from_tunnel_to_tunnel',
    'a tunnel packet would leave by a tunnel (split horizon)',
  ],
  [
    'WrongNetworkVtep',
    'wrong_network_vtep',
    'a tunnel packet whose source is not where the model has it',
  ],
  ['ConnectionInvalid', 'connection_invalid', 'the packet fits no connection in its state'],
  ['TranslateLimit', 'translate_limit', 'the pipeline gave up after too many steps'],
  [
    'AclReject',
    'acl_reject',
    'rejected by an ACL, which was answered with a TCP reset or an ICMP error',
  ],
  // The way to the slow path, since coarse drops.
  [
    'UpcallScan',
    'upcall_scan',
    'its sender asked about a thousand new flows that were denied: no more is asked for a moment',
  ],
  // Routers.
  ['HostUnreachable', 'host_unreachable', 'no port has the address that a router was to send to'],
  [
    'RouterItself',
    'router_itself',
    'for an address of a router, which answers nothing but echo requests',
  ],
  // Answers that the data path makes.
  [
    'AnswerLimit',
    'answer_limit',
    'more ARP, ND, echo or ICMP error answers than one sender may have in a moment',
  ],
] as const;

export type DropReasonSymbol = (typeof table)[number][0];
export type DropReasonName = (typeof table)[number][1];

export interface DropReasonText {
  readonly number: number;
  readonly symbol: DropReasonSymbol;
  readonly name: DropReasonName;
  readonly help: string;
}

/** All reasons; the index is the number. */
export const dropReasonTexts: readonly DropReasonText[] = table.map(
  ([symbol, name, help], number) => ({ number, symbol, name, help }),
);

/** Numbers by symbol: `dropReason.UnknownMac`. */
export const dropReason = Object.freeze(
  Object.fromEntries(table.map(([symbol], number) => [symbol, number])),
) as { readonly [Symbol in DropReasonSymbol]: number };

/** Name of a number; a number from a newer datapath is shown as such. */
export function dropReasonName(number: number): string {
  return dropReasonTexts[number]?.name ?? `reason_${number}`;
}

/** Number of a name, or undefined. */
export function dropReasonNumber(name: string): number | undefined {
  const index = dropReasonTexts.findIndex((text) => text.name === name);
  return index < 0 ? undefined : index;
}
