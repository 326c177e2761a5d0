import { createSocket } from 'node:dgram';
import { Resolver } from 'node:dns';
import { once } from 'node:events';
import type { Resolve } from '../../src/kit/dial-tcp.ts';

/** A name server on loopback that returns one IPv4 address for every name. The test can change the address, as in DNS rebinding. */
export interface DnsServer extends AsyncDisposable {
  /** Queries this server without a cache. */
  readonly resolve: Resolve;
  /** Requested names, in order. */
  readonly asked: readonly string[];
  point(address: string): void;
}

export async function startDnsServer(first: string): Promise<DnsServer> {
  const asked: string[] = [];
  const socket = createSocket('udp4');
  let address = first;
  socket.on('message', (query, { port }) => {
    asked.push(nameIn(query));
    socket.send(answerTo(query, address), port, '127.0.0.1');
  });
  socket.bind(0, '127.0.0.1');
  await once(socket, 'listening');
  const resolver = new Resolver({ timeout: 1000, tries: 3 });
  resolver.setServers([`127.0.0.1:${socket.address().port}`]);

  return {
    asked,
    resolve: (name, _options, found) => {
      resolver.resolve4(name, (error, addresses) => found(error, error ? [] : addresses.map((each) => ({ address: each, family: 4 }))));
    },
    point: (next) => {
      address = next;
    },
    [Symbol.asyncDispose]: async () => {
      resolver.cancel();
      socket.close();
    },
  };
}

/** One record of type A with a TTL of 0 (RFC 1035 §4). */
function answerTo(query: Buffer, address: string): Buffer {
  const head = Buffer.from([query[0] ?? 0, query[1] ?? 0, 0x81, 0x80, 0, 1, 0, 1, 0, 0, 0, 0]);
  const record = Buffer.from([0xc0, 0x0c, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4, ...address.split('.').map(Number)]);
  return Buffer.concat([head, query.subarray(12, endOfName(query) + 4), record]);
}

function nameIn(query: Buffer): string {
  const labels: string[] = [];
  for (let at = 12; query[at]; at += (query[at] ?? 0) + 1) labels.push(query.toString('latin1', at + 1, at + 1 + (query[at] ?? 0)));
  return labels.join('.');
}

/** After the zero byte that ends the name of the question. */
function endOfName(query: Buffer): number {
  return query.indexOf(0, 12) + 1;
}
