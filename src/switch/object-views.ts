// switch/object-views.ts — how each object of the document fares on this host.
//
// What the document wants is held against what the data path lists now, so that a device that went
// down or a route that is missing shows without anybody having remembered it.

import type { ObjectStatus } from '../control/switch-api.ts';
import type { DatapathCounters } from '../datapath/counters.ts';
import type { NativePort, NativeTunnelStatus } from '../datapath/native.ts';
import type { NotInForce } from '../model/coverage.ts';
import type { Document, DocumentKind, Host, Network, Port, Router } from '../model/document.ts';
import { routerMacOf } from '../model/router-mac.ts';
import type { Numbering } from '../rules/numbering.ts';
import type { WaitingPort } from './installer.ts';

/** What the views are made from: the document, and what is found in the data path. */
export interface Found {
  readonly host: string;
  readonly document: Document;
  readonly notInForce: readonly NotInForce[];
  readonly numbering: Numbering;
  /** False: no data path is attached now. */
  readonly attached: boolean;
  readonly ports: readonly NativePort[];
  readonly tunnels: readonly NativeTunnelStatus[];
  readonly waiting: readonly WaitingPort[];
  readonly counters: DatapathCounters | undefined;
}

type Fate = Pick<ObjectStatus, 'state' | 'why' | 'facts'>;
type Facts = Readonly<Record<string, unknown>>;

const active = (facts: Facts = {}): Fate => ({ state: 'active', why: '', facts });
const elsewhere = (facts: Facts = {}): Fate => ({ state: 'elsewhere', why: '', facts });
const waiting = (why: string, facts: Facts = {}): Fate => ({ state: 'waiting', why, facts });
const partial = (why: string, facts: Facts = {}): Fate => ({ state: 'partial', why, facts });

/** Statuses of one kind, in the order of the document. */
export function objectViews(found: Found, kind: DocumentKind): ObjectStatus[] {
  const list: readonly { readonly name: string }[] = found.document[kind];
  return list.map((spec) => {
    const fate = fateOf(found, kind, spec);
    return { kind, name: spec.name, spec: { ...spec }, ...withCoverage(found, kind, spec, fate) };
  });
}

function fateOf(found: Found, kind: DocumentKind, spec: object): Fate {
  if (!found.attached && kind !== 'subnets') return waiting('the datapath is not attached');
  switch (kind) {
    case 'hosts':
      return hostFate(found, spec as Host);
    case 'networks':
      return networkFate(found, spec as Network);
    case 'routers':
      return routerFate(found, spec as Router);
    case 'ports':
      return portFate(found, spec as Port);
    default:
      return active();
  }
}

/**
 * An object that is in force here but for a part that nothing brings into force yet. What is
 * elsewhere is told of there, but for what is behind a peer, where no vtepd tells anything.
 */
function withCoverage(
  { document, notInForce }: Found,
  kind: DocumentKind,
  spec: { readonly name: string; readonly host?: string },
  fate: Fate,
): Fate {
  const gaps = notInForce.filter((gap) => gap.kind === kind && gap.name === spec.name);
  const isPeer = () =>
    document.hosts.some(({ name, kind: of }) => of === 'peer' && name === spec.host);
  const told = fate.state === 'active' || (fate.state === 'elsewhere' && isPeer());
  if (gaps.length === 0 || !told) return fate;
  return partial(gaps.map(({ message }) => message).join(' '), fate.facts);
}

function hostFate({ host, numbering, tunnels }: Found, spec: Host): Fate {
  if (spec.name === host) return active({ self: true });
  const ours = tunnels.filter(
    ({ number }) => numbering.name('tunnels', number)?.startsWith(`${spec.name}/`) ?? false,
  );
  if (ours.length === 0) return elsewhere();
  const facts = {
    tunnels: ours.map(({ number, encap, resolved, why, targetMac, uplinkPort, mtu }) => ({
      name: numbering.name('tunnels', number),
      encap,
      resolved,
      why,
      nextHop: targetMac,
      uplink: numbering.name('devices', uplinkPort) ?? '',
      mtu,
    })),
  };
  const unresolved = ours.find(({ resolved }) => !resolved);
  return unresolved === undefined ? active(facts) : waiting(unresolved.why, facts);
}

function networkFate({ host, document, numbering }: Found, { name }: Network): Fate {
  const ports = document.ports.filter((port) => port.network === name && port.host === host);
  const facts = { ports: ports.length, group: numbering.find('groups', `${name}/all`) };
  return ports.length === 0 ? elsewhere() : active(facts);
}

/** A router is where a port is that it serves. */
function routerFate({ host, document }: Found, router: Router): Fate {
  const facts = { mac: routerMacOf(router) };
  const networks = new Set(
    document.subnets.filter(({ name }) => router.subnets.includes(name)).map((one) => one.network),
  );
  const here = document.ports.some((port) => port.host === host && networks.has(port.network));
  return here ? active(facts) : elsewhere(facts);
}

function portFate(found: Found, { host, device }: Port): Fate {
  if (host !== found.host) return elsewhere({ host });
  if (device === undefined) return active();
  const missing = found.waiting.find((one) => one.device === device);
  if (missing !== undefined) return waiting(missing.why);
  const number = found.numbering.find('devices', device);
  const installed = found.ports.find((port) => port.number === number);
  if (installed === undefined) return waiting('the data path has no such port yet');
  const { mode, why, mtu, linkUp } = installed.status;
  const counters = found.counters?.port(installed.number) ?? {};
  const facts = { number, mode, modeWhy: why, mtu, linkUp, counters };
  return linkUp ? active(facts) : partial(`the device ${device} is down`, facts);
}
