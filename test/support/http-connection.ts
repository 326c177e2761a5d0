import { once } from 'node:events';
import { connect } from 'node:net';
import { eventually } from './eventually.ts';

export interface RawAnswer {
  readonly status: number;
  readonly headers: Headers;
  readonly body: string;
}

/** A client connection that sends bytes unchanged. */
export interface HttpConnection extends Disposable {
  send(bytes: Buffer | string): void;
  /** The next response, which must have a `content-length`; undefined if the connection ends before the response is complete. */
  answer(): Promise<RawAnswer | undefined>;
  readonly closed: boolean;
}

export async function openHttpConnection(port: number): Promise<HttpConnection> {
  const socket = connect(port, '127.0.0.1');
  let pending = '';
  let closed = false;
  socket.setEncoding('latin1').on('data', (text: string) => {
    pending += text;
  });
  socket.on('error', () => undefined); // the close event that follows is sufficient
  socket.once('close', () => {
    closed = true;
  });
  await once(socket, 'connect');

  function cut(): RawAnswer | undefined {
    const [head = '', status, lines] = /^HTTP\/1\.1 (\d{3}) [^\r\n]*\r\n((?:[^\r\n]+\r\n)*)\r\n/.exec(pending) ?? [];
    if (lines === undefined) return undefined;
    const headers = new Headers(
      lines
        .trimEnd()
        .split('\r\n')
        .filter(Boolean)
        .map((line): [string, string] => [line.replace(/:.*/, ''), line.replace(/.*?: ?/, '')]),
    );
    const start = head.length;
    const end = start + Number(headers.get('content-length') ?? 0);
    if (pending.length < end) return undefined;
    const body = Buffer.from(pending.slice(start, end), 'latin1').toString(); // lengths are in bytes
    pending = pending.slice(end);
    return { status: Number(status), headers, body };
  }

  return {
    send: (bytes) => void socket.write(bytes),
    answer: async () => {
      let found: RawAnswer | undefined;
      await eventually(() => {
        found = cut();
        return found !== undefined || closed;
      });
      return found;
    },
    get closed() {
      return closed;
    },
    [Symbol.dispose]: () => socket.destroy(),
  };
}
