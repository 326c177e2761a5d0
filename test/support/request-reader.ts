/** A request as parsed from its bytes. */
export interface TargetRequest {
  readonly method: string;
  readonly path: string;
  /** In their order, case kept. */
  readonly headers: readonly (readonly [name: string, value: string])[];
  readonly body: Buffer;
  /** The number of the target's connection, from 0. */
  readonly connection: number;
  /** The number of earlier requests on that connection. */
  readonly position: number;
  /** The server name of the TLS handshake; empty without one. */
  readonly serverName: string;
  /** The first header of this name, in any case. */
  header(name: string): string | undefined;
}

/** Splits the bytes of a connection into requests with `content-length` bodies (RFC 9112 §6.2). */
export function createRequestReader(
  { connection, serverName }: { readonly connection: number; readonly serverName: string },
  onRequest: (request: TargetRequest) => void,
): (bytes: Buffer) => void {
  let pending = Buffer.alloc(0);
  let position = 0;

  return (bytes) => {
    pending = Buffer.concat([pending, bytes]);
    for (;;) {
      const headEnd = pending.indexOf('\r\n\r\n');
      if (headEnd < 0) return;
      const head = parseHead(pending.subarray(0, headEnd).toString('latin1'));
      const end = headEnd + 4 + Number(head.header('content-length') ?? 0);
      if (pending.length < end) return;
      const body = Buffer.from(pending.subarray(headEnd + 4, end));
      pending = pending.subarray(end);
      onRequest({ ...head, body, connection, position, serverName });
      position += 1;
    }
  };
}

function parseHead(text: string): Pick<TargetRequest, 'header' | 'headers' | 'method' | 'path'> {
  const [line = '', ...rest] = text.split('\r\n');
  const [method = '', path = ''] = line.split(' ');
  const headers = rest.map((header): readonly [string, string] => {
    const colon = header.indexOf(':');
    return [header.slice(0, colon), header.slice(colon + 1).trim()];
  });
  const header = (name: string) => headers.find(([other]) => other.toLowerCase() === name)?.[1];
  return { method, path, headers, header };
}
