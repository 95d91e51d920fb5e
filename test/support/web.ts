// support/web.ts — a web server in one container, curl in another.

import type { Lab } from './netns.ts';

/** Python's own web server, for IPv4 and IPv6; resolves when it listens. */
export async function webServer(lab: Lab, ns: string, port: number) {
  const args = ['-um', 'http.server', String(port), '--bind', '::', '--directory', lab.directory];
  const server = lab.spawn(ns, '/usr/bin/python3', args);
  await server.waitFor(/Serving HTTP/);
  return server;
}

/** What curl gets: the status, such as "200", or "silence" or "refused" or its own words. */
export async function curl(lab: Lab, from: string, address: string, port: number) {
  const host = address.includes(':') ? `[${address}]` : address;
  const args = ['-gsS', '-m', '1.5', '-o', '/dev/null', '-w', '%{http_code}'];
  const done = await lab.exec(from, 'curl', [...args, `http://${host}:${port}/`]);
  if (done.code === 0) return done.stdout;
  if (done.code === 28) return 'silence';
  return done.code === 7 ? 'refused' : `${done.code}: ${done.stderr}`;
}
