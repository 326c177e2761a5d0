import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { Worker } from 'node:worker_threads';

/** A port with slow handshakes: its backlog is full, so that the kernel drops each SYN until `accept` is called. */
export interface SlowListener extends AsyncDisposable {
  readonly port: number;
  /** Accepts and answers from now on: a client's next SYN, about 1 s after its first, is accepted. */
  accept(): void;
}

/** Its thread listens and blocks itself, so that it accepts no connection; later it answers each request with 200. */
const listener = `
const { createServer } = require('node:http');
const { parentPort, workerData } = require('node:worker_threads');
const server = createServer((_request, response) => response.end('ok'));
server.listen({ port: workerData.port, host: workerData.host, backlog: 1 }, () => {
  parentPort.postMessage(server.address().port);
  setImmediate(() => Atomics.wait(workerData.gate, 0, 0));
});
parentPort.once('message', () => { server.closeAllConnections(); server.close(); parentPort.close(); });
`;

export async function startSlowListener(host = '127.0.0.1', wantedPort = 0): Promise<SlowListener> {
  const gate = new Int32Array(new SharedArrayBuffer(4));
  const worker = new Worker(listener, { eval: true, workerData: { gate, host, port: wantedPort } });
  const [port] = await once(worker, 'message');
  const fillers: Socket[] = [];
  for (let waiting = 0; waiting < 2; waiting += 1) {
    const filler = connect({ host, port });
    filler.on('error', () => undefined);
    await once(filler, 'connect');
    fillers.push(filler);
  }

  function accept(): void {
    Atomics.store(gate, 0, 1);
    Atomics.notify(gate, 0);
  }

  return {
    port,
    accept,
    [Symbol.asyncDispose]: async () => {
      for (const filler of fillers) filler.destroy();
      accept();
      const ended = once(worker, 'exit');
      worker.postMessage('close');
      await ended;
    },
  };
}
