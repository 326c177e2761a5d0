import { type AddressInfo, createServer } from 'node:net';

const answer = Buffer.from('HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n');
const headEnd = Buffer.from('\r\n\r\n');

/** A backend with the minimum of HTTP/1.1: it reads whole requests and answers 200. */
export interface Sink {
  readonly origin: string;
  readonly requests: number;
  close(): void;
}

/** `onRequest` receives the body and the head of each request, which are valid during the call only. */
export async function startSink(onRequest: (body: Buffer, head: Buffer) => void = () => undefined): Promise<Sink> {
  let requests = 0;
  const server = createServer((socket) => {
    socket.setNoDelay(true);
    let held = Buffer.alloc(0);
    socket.on('error', () => socket.destroy());
    socket.on('data', (chunk) => {
      let bytes = held.length === 0 ? chunk : Buffer.concat([held, chunk]);
      for (let length = requestLength(bytes); length > 0 && length <= bytes.length; length = requestLength(bytes)) {
        requests += 1;
        const end = bytes.indexOf(headEnd);
        onRequest(bytes.subarray(end + headEnd.length, length), bytes.subarray(0, end));
        socket.write(answer);
        bytes = bytes.subarray(length);
      }
      held = bytes;
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    origin: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    get requests() {
      return requests;
    },
    close: () => server.close(),
  };
}

/** Length of the first request; 0 while its head is incomplete. */
function requestLength(bytes: Buffer): number {
  const end = bytes.indexOf(headEnd);
  if (end < 0) return 0;
  const found = /content-length: (\d+)/i.exec(bytes.subarray(0, end).toString('latin1'));
  return end + headEnd.length + Number(found?.[1] ?? 0);
}
