import { once } from 'node:events';
import { createServer } from 'node:http';
import { type AddressInfo, connect, type Socket } from 'node:net';

/** An HTTP proxy that only connects. It resolves every name to this machine. */
export interface ConnectProxy extends AsyncDisposable {
  readonly url: string;
  readonly port: number;
  /** `host:port` of each request, with its credentials if it has some. */
  readonly asked: readonly string[];
}

/** With `status`, it answers each request with that status. With `greeting`, it sends bytes of the server together with its answer. */
export async function startConnectProxy({ status = 200, greeting = '' } = {}): Promise<ConnectProxy> {
  const asked: string[] = [];
  const sockets = new Set<Socket>();
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  server.on('connect', ({ url = '', headers }, client: Socket, head: Buffer) => {
    const credentials = headers['proxy-authorization'];
    asked.push(credentials === undefined ? url : `${url} ${credentials}`);
    sockets.add(client.on('error', () => undefined));
    if (status !== 200) return client.end(`HTTP/1.1 ${status} No\r\ncontent-length: 0\r\n\r\n`);
    const upstream = connect({ host: '127.0.0.1', port: Number(url.split(':').at(-1)) }, () => {
      client.write(`HTTP/1.1 200 Connection established\r\n\r\n${greeting}`);
      if (head.length > 0) upstream.write(head);
      client.pipe(upstream).pipe(client);
    });
    sockets.add(upstream.on('error', () => client.destroy()));
    client.on('close', () => upstream.destroy());
    return undefined;
  });
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}`,
    port,
    asked,
    [Symbol.asyncDispose]: async () => {
      for (const socket of sockets) socket.destroy();
      server.close();
      server.closeAllConnections();
      await once(server, 'close');
    },
  };
}
