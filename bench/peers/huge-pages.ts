// bench/peers/huge-pages.ts — 2-MiB pages for the peers that want them, given back at the end.
//
// DPDK keeps its packets in huge pages. Ours needs none: it asks for transparent ones.

import { readFileSync, writeFileSync } from 'node:fs';
import { Lack } from '../bench.ts';

const folder = '/sys/kernel/mm/hugepages/hugepages-2048kB';

const read = (name: string): number => Number(readFileSync(`${folder}/${name}`, 'utf8'));

/**
 * Makes sure that `count` 2-MiB pages are free and returns the undo. Throws a Lack when the kernel
 * has no such pages or not so much free memory in one piece.
 */
export function reserveHugePages(count: number): () => void {
  let before: number;
  try {
    before = read('nr_hugepages');
    writeFileSync(`${folder}/nr_hugepages`, String(before + count - read('free_hugepages')));
  } catch (error) {
    throw new Lack(`this kernel gives no 2-MiB huge pages (${(error as Error).message})`);
  }
  const giveBack = () => writeFileSync(`${folder}/nr_hugepages`, String(before));
  const free = read('free_hugepages');
  if (free >= count) return giveBack;
  giveBack();
  throw new Lack(
    `${count} free huge pages of 2 MiB are needed and the kernel made ${free}: ` +
      `free some memory, or reserve them at boot (hugepages=${count} on the kernel command line)`,
  );
}
