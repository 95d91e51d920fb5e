// control/groups.ts — groups of users by name and by number, from /etc/group.
//
// Node has no getgrnam(3). Groups that only a directory service knows can be given by number.

import { readFile } from 'node:fs/promises';

const groupFile = '/etc/group';

interface Group {
  readonly name: string;
  readonly id: number;
}

/** Number of a group, by name or by its number as text; undefined when there is none. */
export async function groupId(name: string, file = groupFile): Promise<number | undefined> {
  if (/^\d{1,9}$/.test(name)) return Number(name);
  return (await groups(file)).find((group) => group.name === name)?.id;
}

/** Name of a group, or its number as text when it has no name here. */
export async function groupName(id: number, file = groupFile): Promise<string> {
  return (await groups(file)).find((group) => group.id === id)?.name ?? `${id}`;
}

async function groups(file: string): Promise<readonly Group[]> {
  const text = await readFile(file, 'utf8').catch(() => '');
  return text.split('\n').flatMap((line) => {
    const [name = '', , id = ''] = line.split(':');
    return name !== '' && /^\d+$/.test(id) ? [{ name, id: Number(id) }] : [];
  });
}
