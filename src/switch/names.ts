// switch/names.ts — numbers of the data path as the names that people know.
//
// The data path knows devices. A device that carries one logical port is called by that port's
// name, as in the document; a trunk and an uplink by their own. Both names are understood.

import type { Numbering } from '../rules/numbering.ts';

/** What formatMatch, formatActions and parseKey want to know. */
export interface Names {
  portName(number: number): string | undefined;
  portNumber(name: string): number | undefined;
  tunnelName(number: number): string | undefined;
  groupName(number: number): string | undefined;
}

/** A port of the document, as far as its name goes. */
export interface NamedPort {
  readonly name: string;
  readonly host: string;
  readonly device?: string | undefined;
}

/** Names of this host's ports both ways. */
interface PortIndex {
  readonly deviceOf: ReadonlyMap<string, string>;
  readonly portsOf: ReadonlyMap<string, readonly string[]>;
}

/** `ports` gives the document's ports; the same array means that nothing has changed. */
export function namesOf(
  numbering: Numbering,
  host: string,
  ports: () => readonly NamedPort[],
): Names {
  let indexed: readonly NamedPort[] | undefined;
  let index: PortIndex = indexOf([]);
  const current = (): PortIndex => {
    const now = ports();
    if (now !== indexed) index = indexOf(now.filter((port) => port.host === host));
    indexed = now;
    return index;
  };
  return {
    portName(number) {
      const device = numbering.name('devices', number);
      if (device === undefined) return undefined;
      const { portsOf, deviceOf } = current();
      const names = portsOf.get(device) ?? [];
      const name = names.length === 1 && names[0] !== undefined ? names[0] : device;
      // A name must mean the same when it is read again.
      return (deviceOf.get(name) ?? device) === device ? name : undefined;
    },
    portNumber(name) {
      const device = current().deviceOf.get(name);
      const number = device === undefined ? undefined : numbering.find('devices', device);
      return number ?? numbering.find('devices', name);
    },
    tunnelName: (number) => numbering.name('tunnels', number),
    groupName: (number) => numbering.name('groups', number),
  };
}

function indexOf(ports: readonly NamedPort[]): PortIndex {
  const deviceOf = new Map<string, string>();
  const portsOf = new Map<string, string[]>();
  for (const { name, device } of ports) {
    if (device === undefined) continue;
    deviceOf.set(name, device);
    portsOf.set(device, [...(portsOf.get(device) ?? []), name]);
  }
  return { deviceOf, portsOf };
}
