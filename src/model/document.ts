// model/document.ts — the desired state as one document: what exists, where, by which rules.
//
// The same document goes to every host. These schemas are the only definition of its fields: types,
// the parser's messages and the API's description all come from here. A parsed Document is plain
// data with all defaults filled in and every address in canonical form. What fields mean together
// (dangling names, duplicates, addresses outside their subnet) is checked by model/check.ts.

import { z } from 'zod';
import * as field from './fields.ts';

export const encaps = ['vxlan', 'geneve'] as const;
export const hostKinds = ['vtepd', 'peer'] as const;
export const portModes = [
  'auto',
  'af_packet',
  'af_xdp',
  'af_xdp_generic',
  'af_xdp_native',
  'tap',
] as const;
export const ipv6RaModes = ['slaac'] as const;
export const directions = ['ingress', 'egress'] as const;
export const aclActions = ['allow', 'drop', 'reject'] as const;
export const protocolNames = ['any', 'tcp', 'udp', 'sctp', 'icmp', 'icmpv6'] as const;

/** As in OVN. */
export const aclPriorityMax = 32767;

/** A VNI has 24 bits; 0 is left to the switches that give it a meaning of their own. */
export const vniMax = 0xffffff;

/** Smallest datagram that every IPv4 host accepts, and the largest usual jumbo frame. */
export const mtuMin = 576;
export const mtuMax = 9216;

/** What is left of 1500 bytes for an IPv4 underlay: 20 IPv4 + 8 UDP + 8 VXLAN + 14 Ethernet. */
export const mtuDefault = 1450;

/** IPv6 needs this of every link (RFC 8200, section 5). */
export const mtuIpv6Min = 1280;

export const learningDefault = { limitPerPort: 1024, agingSeconds: 300 } as const;

export const learningSchema = field
  .mapping('learning', {
    limitPerPort: field
      .wholeNumber('a number of addresses', 1, 65536)
      .default(learningDefault.limitPerPort)
      .describe('Most MAC addresses that are learned behind one port or remote VTEP.'),
    agingSeconds: field
      .wholeNumber('a number of seconds', 1, 86400)
      .default(learningDefault.agingSeconds)
      .describe('Time without traffic after which a learned address is forgotten.'),
  })
  .describe('Limits of MAC learning.');

const learningExpected = 'true, false, or a mapping with limitPerPort and agingSeconds';

const learningChoice = z
  .union([z.boolean(), learningSchema], { error: learningExpected })
  .pipe(
    z.preprocess(
      (choice) => (choice === true ? learningDefault : choice),
      z.union([z.literal(false), learningSchema], { error: learningExpected }),
    ),
  )
  .default(false)
  .describe('Learn MAC addresses that the model does not know; true takes the default limits.');

export const hostSchema = field
  .mapping('a host', {
    name: field.nameOf('a host').describe('Name of the host, unique among hosts.'),
    tunnelIp: field.unicastIp().describe('Underlay address of the tunnel endpoint.'),
    kind: field
      .oneOf(hostKinds)
      .default('vtepd')
      .describe('vtepd: runs vtepd with this document. peer: any other VTEP (kernel, OVS).'),
    networks: field
      .listOf(field.nameOf('a network'), 'names of networks')
      .default([])
      .describe('Only for a peer: networks that it takes part in, and gets broadcast of.'),
  })
  .describe('A tunnel endpoint.');

export const networkSchema = field
  .mapping('a network', {
    name: field.nameOf('a network').describe('Name of the network, unique among networks.'),
    vni: field
      .wholeNumber('a VNI', 1, vniMax)
      .describe('Number of the network on the wire, unique among networks.'),
    encap: field.oneOf(encaps).default('vxlan').describe('Encapsulation on the underlay.'),
    mtu: field
      .wholeNumber('an MTU in bytes', mtuMin, mtuMax)
      .default(mtuDefault)
      .describe('Largest IP packet of the network, in bytes.'),
    learning: learningChoice,
  })
  .describe('A logical Ethernet segment.');

export const subnetSchema = field
  .mapping('a subnet', {
    name: field.nameOf('a subnet').describe('Name of the subnet, unique among subnets.'),
    network: field.nameOf('a network').describe('Network that the subnet belongs to.'),
    cidr: field.cidr().describe('Prefix of the addresses of the subnet.'),
    gateway: field
      .unicastIp()
      .optional()
      .describe('Address of the router in this subnet; routers need it.'),
    ipv6RaMode: field
      .oneOf(ipv6RaModes)
      .optional()
      .describe('slaac: the router advertises the prefix, and hosts make addresses of it.'),
  })
  .describe('An IP prefix of a network.');

export const routeSchema = field
  .mapping('a route', {
    destination: field
      .cidr()
      .describe('Prefix that the route is for; 0.0.0.0/0 and ::/0 are the default routes.'),
    nextHops: field
      .listOf(field.unicastIp(), 'addresses')
      .min(1, { error: 'at least one address' })
      .describe('Addresses in subnets of the router; connections are spread over several.'),
  })
  .describe('A static route; the longest prefix wins, connected subnets among them.');

export const routerSchema = field
  .mapping('a router', {
    name: field.nameOf('a router').describe('Name of the router, unique among routers.'),
    subnets: field
      .listOf(field.nameOf('a subnet'), 'names of subnets')
      .default([])
      .describe('Subnets that the router joins, each by its gateway address.'),
    mac: field
      .unicastMac()
      .optional()
      .describe('MAC address of all gateways, on every host; without it one made of the name.'),
    routes: field
      .listOf(routeSchema, 'routes')
      .default([])
      .describe('Ways to what is in none of the subnets.'),
  })
  .describe('A distributed router between subnets.');

/** What traffic a rule or an ACL is about. */
const trafficFields = {
  direction: field
    .oneOf(directions)
    .describe("Seen from the port's owner: ingress is traffic to the container or VM."),
  protocol: z
    .union([z.enum(protocolNames), z.number().int().min(0).max(255)], {
      error: `one of ${protocolNames.join(', ')}, or a protocol number from 0 to 255`,
    })
    .default('any')
    .describe('IP protocol, by name or number.'),
  ports: field
    .portRange()
    .optional()
    .describe('Destination port or range, for tcp, udp and sctp; without it every port.'),
  icmpType: field
    .wholeNumber('an ICMP type', 0, 255)
    .optional()
    .describe('ICMP type, for icmp and icmpv6; without it every type.'),
  icmpCode: field
    .wholeNumber('an ICMP code', 0, 255)
    .optional()
    .describe('ICMP code, beside icmpType; without it every code.'),
  remote: field
    .ipOrCidr()
    .optional()
    .describe('Address or prefix of the other side; without any remote: everyone.'),
  remoteGroup: field
    .nameOf('a security group')
    .optional()
    .describe('Security group whose ports are the other side.'),
  remoteSet: field
    .nameOf('an address set')
    .optional()
    .describe('Address set that holds the other side.'),
};

export const ruleSchema = field
  .mapping('a rule', trafficFields)
  .describe('Traffic that a security group allows.');

export const securityGroupSchema = field
  .mapping('a security group', {
    name: field.nameOf('a security group').describe('Name, unique among security groups.'),
    rules: field
      .listOf(ruleSchema, 'rules')
      .default([])
      .describe('What is allowed; without a rule that fits, traffic is denied.'),
    stateful: field
      .yesOrNo()
      .default(true)
      .describe('Replies pass with their connection; false: they need rules of their own.'),
  })
  .describe('Rules for the ports that name the group.');

export const addressSetSchema = field
  .mapping('an address set', {
    name: field.nameOf('an address set').describe('Name, unique among address sets.'),
    addresses: field
      .listOf(field.ipOrCidr(), 'addresses or prefixes')
      .default([])
      .describe('Addresses and prefixes, IPv4 and IPv6.'),
  })
  .describe('A named list of addresses for rules.');

export const aclSchema = field
  .mapping('an ACL', {
    name: field.nameOf('an ACL').describe('Name, unique among ACLs.'),
    priority: field
      .wholeNumber('a priority', 0, aclPriorityMax)
      .describe('The highest that fits decides; of equal ones drop before reject before allow.'),
    action: field
      .oneOf(aclActions)
      .describe('reject: drop, and answer with a TCP reset or ICMP port unreachable.'),
    ...trafficFields,
    networks: field
      .listOf(field.nameOf('a network'), 'names of networks')
      .default([])
      .describe('Holds for the ports of these networks; without networks and groups for all.'),
    securityGroups: field
      .listOf(field.nameOf('a security group'), 'names of security groups')
      .default([])
      .describe('Holds for the ports of these groups too.'),
  })
  .describe('A rule of the administrator, which comes before all security groups.');

export const addressPairSchema = field
  .mapping('an address pair', {
    ip: field.ipOrCidr().describe('Further address or prefix that the port may use.'),
    mac: field.unicastMac().optional().describe("MAC of that address; without it the port's own."),
  })
  .describe('Addresses that port security allows beside those of the port.');

export const qosSchema = field
  .mapping('qos', {
    ingress: field
      .rate()
      .optional()
      .describe('Most traffic to the container or VM, broadcasts among it.'),
    egress: field.rate().optional().describe('Most traffic from the container or VM.'),
  })
  .describe('Rate limits of a port.');

export const portSchema = field
  .mapping('a port', {
    name: field.nameOf('a port').describe('Name of the port, unique among ports.'),
    network: field.nameOf('a network').describe('Network that the port is plugged into.'),
    mac: field.unicastMac().describe('MAC address, unique within the network.'),
    ips: field
      .listOf(field.unicastIp(), 'addresses')
      .default([])
      .describe('IP addresses, within the subnets of the network if it has any.'),
    host: field.nameOf('a host').describe('Host where the port is.'),
    device: field
      .deviceName()
      .optional()
      .describe('Device of the port on its host; a port behind a peer has none.'),
    vlan: field
      .wholeNumber('a VLAN', 1, 4094)
      .optional()
      .describe('VLAN of the port, when the device is a trunk.'),
    mode: field.oneOf(portModes).default('auto').describe('How frames are taken from the device.'),
    portSecurity: field
      .yesOrNo()
      .default(true)
      .describe('Drop frames whose source MAC or IP address is not one of the port.'),
    allowedAddressPairs: field
      .listOf(addressPairSchema, 'address pairs')
      .default([])
      .describe('Further source addresses that port security lets pass.'),
    securityGroups: field
      .listOf(field.nameOf('a security group'), 'names of security groups')
      .default([])
      .describe('Groups whose rules apply; without any, everything is allowed.'),
    qos: qosSchema.optional(),
  })
  .describe('A logical port: one container, VM or appliance on a network.');

export const documentSchema = field
  .mapping('a document', {
    hosts: field.listOf(hostSchema, 'hosts').default([]),
    networks: field.listOf(networkSchema, 'networks').default([]),
    subnets: field.listOf(subnetSchema, 'subnets').default([]),
    routers: field.listOf(routerSchema, 'routers').default([]),
    securityGroups: field.listOf(securityGroupSchema, 'security groups').default([]),
    addressSets: field.listOf(addressSetSchema, 'address sets').default([]),
    acls: field.listOf(aclSchema, 'ACLs').default([]),
    ports: field.listOf(portSchema, 'ports').default([]),
  })
  .describe('The desired state of all hosts.');

/** T with every property and every list read-only, all the way down. */
export type DeepReadonly<T> = T extends readonly (infer Entry)[]
  ? readonly DeepReadonly<Entry>[]
  : T extends object
    ? { readonly [Key in keyof T]: DeepReadonly<T[Key]> }
    : T;

export type Encap = (typeof encaps)[number];
export type HostKind = (typeof hostKinds)[number];
export type PortMode = (typeof portModes)[number];
export type Direction = (typeof directions)[number];
export type Learning = DeepReadonly<z.output<typeof learningSchema>>;
export type Host = DeepReadonly<z.output<typeof hostSchema>>;
export type Network = DeepReadonly<z.output<typeof networkSchema>>;
export type Subnet = DeepReadonly<z.output<typeof subnetSchema>>;
export type Router = DeepReadonly<z.output<typeof routerSchema>>;
export type Route = DeepReadonly<z.output<typeof routeSchema>>;
export type Rule = DeepReadonly<z.output<typeof ruleSchema>>;
export type SecurityGroup = DeepReadonly<z.output<typeof securityGroupSchema>>;
export type AddressSet = DeepReadonly<z.output<typeof addressSetSchema>>;
export type Acl = DeepReadonly<z.output<typeof aclSchema>>;
export type AddressPair = DeepReadonly<z.output<typeof addressPairSchema>>;
export type Qos = DeepReadonly<z.output<typeof qosSchema>>;
export type Port = DeepReadonly<z.output<typeof portSchema>>;
export type Document = DeepReadonly<z.output<typeof documentSchema>>;

/** Sections of a document, in the order in which they refer to each other. */
export const documentKinds = [
  'hosts',
  'networks',
  'subnets',
  'routers',
  'securityGroups',
  'addressSets',
  'acls',
  'ports',
] as const satisfies readonly (keyof Document)[];

export type DocumentKind = (typeof documentKinds)[number];

/** What one object of each section is called, in messages and in `vtepctl get`. */
export const singularOf = {
  hosts: 'host',
  networks: 'network',
  subnets: 'subnet',
  routers: 'router',
  securityGroups: 'security group',
  addressSets: 'address set',
  acls: 'ACL',
  ports: 'port',
} as const satisfies Record<DocumentKind, string>;

/** A document without anything in it: what a fresh vtepd starts from. */
export const emptyDocument: Document = Object.freeze(documentSchema.parse({}));
