import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';

/** A relay between a client and its server: every connection can be cut, and the server's bytes can be split. */
export interface Relay extends AsyncDisposable {
  readonly port: number;
  /** Connections since the start. */
  readonly connections: number;
  /** Cuts all connections without notice to either side. */
  cut(): void;
}

/** `pieceBytes`: the server's bytes are forwarded in pieces of this size, each read separately. */
export async function startRelay(to: number, { pieceBytes = Number.POSITIVE_INFINITY } = {}): Promise<Relay> {
  const sockets = new Set<Socket>();
  let connections = 0;
  const server = createServer((near) => {
    connections += 1;
    const far = connect(to, '127.0.0.1');
    for (const socket of [near, far]) {
      sockets.add(socket);
      socket.setNoDelay(true);
      socket.on('error', () => undefined); // cut, which is its purpose
      socket.on('close', () => {
        near.destroy();
        far.destroy();
        sockets.delete(socket);
      });
    }
    near.pipe(far);
    void passOn(far, near, pieceBytes);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');

  return {
    port: (server.address() as AddressInfo).port,
    get connections() {
      return connections;
    },
    cut: () => {
      for (const socket of sockets) socket.destroy();
    },
    [Symbol.asyncDispose]: async () => {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, 'close');
    },
  };
}

async function passOn(from: Socket, to: Socket, pieceBytes: number): Promise<void> {
  try {
    for await (const chunk of from) {
      for (let at = 0; at < chunk.length && !to.destroyed; at += pieceBytes) {
        to.write(chunk.subarray(at, at + pieceBytes));
        if (pieceBytes < chunk.length) await new Promise(setImmediate); // so that the other side reads it separately
      }
    }
  } catch {
    to.destroy(); // it was cut
  }
}
