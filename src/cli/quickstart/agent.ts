// cli/quickstart/agent.ts — what runs inside a container of the quickstart: a server and a client.
//
//   agent.js serve NAME PORT         answers each TCP connection with NAME, then echoes
//   agent.js ask ADDRESS PORT BYTES  prints the name, sends BYTES, checks their echo byte by byte
//
// A program of our own, so that the demonstration needs nothing installed and checks contents too.

import { connect, createServer } from 'node:net';

const connectTimeoutMs = 4000;
const [role, ...rest] = process.argv.slice(2);

if (role === 'serve') {
  const [name = '', port = '0'] = rest;
  createServer((socket) => {
    socket.on('error', () => socket.destroy());
    socket.write(`${name}\n`);
    socket.pipe(socket);
  }).listen(Number(port), '::');
} else if (role === 'ask') {
  const [address = '', port = '0', bytes = '0'] = rest;
  ask(address, Number(port), Number(bytes));
} else {
  fail('usage: agent.js serve NAME PORT | ask ADDRESS PORT BYTES');
}

function ask(address: string, port: number, bytes: number): void {
  const sent = Buffer.alloc(bytes);
  for (let i = 0; i < bytes; i++) sent[i] = (i * 31 + (i >> 8)) & 0xff;
  const socket = connect({ host: address, port });
  const timer = setTimeout(() => fail(`no answer from ${address}:${port}`), connectTimeoutMs);
  let name: string | undefined;
  let received = Buffer.alloc(0);
  let echoed = 0;
  socket.on('data', (data) => {
    let body: Buffer = data;
    if (name === undefined) {
      received = Buffer.concat([received, data]);
      const end = received.indexOf(10);
      if (end < 0) return;
      name = received.toString('utf8', 0, end);
      body = received.subarray(end + 1);
      socket.write(sent);
    }
    if (!body.equals(sent.subarray(echoed, echoed + body.length))) fail('the echo is corrupt');
    echoed += body.length;
    if (echoed < bytes) return;
    clearTimeout(timer);
    process.stdout.write(`${name}\n`);
    socket.end();
  });
  socket.on('error', (error) => fail(error.message));
}

function fail(message: string): never {
  process.stderr.write(`${message}\n`);
  process.exit(1);
}
