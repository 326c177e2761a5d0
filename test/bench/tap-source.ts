import { type AddressInfo, createServer, type Socket } from 'node:net';

/** A tap with the minimum of its protocol: numbered items within a window, without a queue. */
export interface TapSource {
  readonly port: number;
  readonly sent: number;
  readonly acked: number;
  /** Allows items up to this number to be sent. */
  allow(until: number): void;
  close(): void;
}

export interface TapSourceOptions {
  readonly window: number;
  /** The forwarded stanza with this number. */
  stanza(seq: number): string;
  /** Default: `in`. */
  readonly direction?: 'in' | 'out';
}

const header =
  "<?xml version='1.0'?><stream:stream xmlns='jabber:component:accept' xmlns:stream='http://etherx.jabber.org/streams' from='pusher.localhost' id='s1'>";
const perWrite = 64;

export async function startTapSource({ window, stanza, direction = 'in' }: TapSourceOptions): Promise<TapSource> {
  let sent = 0;
  let acked = 0;
  let allowed = 0;
  let flowing: Socket | undefined;

  function flush(): void {
    while (flowing !== undefined && sent < allowed && sent < acked + window) {
      const until = Math.min(allowed, acked + window, sent + perWrite);
      const stamp = new Date().toISOString();
      let xml = '';
      for (let seq = sent + 1; seq <= until; seq += 1) xml += item(seq, { stanza: stanza(seq), stamp, direction });
      sent = until;
      flowing.write(xml);
    }
  }

  function hear(socket: Socket, text: string): void {
    if (text.includes('<stream:stream')) socket.write(header);
    if (text.includes('<handshake')) socket.write('<handshake/>');
    const resume = /<iq[^>]*id="([^"]*)"[^>]*><resume|<iq[^>]*id='([^']*)'[^>]*><resume/.exec(text);
    if (resume !== null) {
      socket.write(
        `<iq type='result' id='${resume[1] ?? resume[2]}' from='localhost' to='pusher.localhost'><resumed xmlns='urn:x-event-pusher:tap:1' epoch='e1' node='n1' from-seq='${acked + 1}'/></iq>`,
      );
      flowing = socket;
    }
    for (const ack of text.matchAll(/<ack[^>]*\bh=["'](\d+)["']/g)) acked = Math.max(acked, Number(ack[1]));
    flush();
  }

  const server = createServer((socket) => {
    socket.setNoDelay(true);
    socket.on('error', () => socket.destroy());
    socket.on('data', (chunk) => hear(socket, chunk.toString('latin1')));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));

  return {
    port: (server.address() as AddressInfo).port,
    get sent() {
      return sent;
    },
    get acked() {
      return acked;
    },
    allow: (until) => {
      allowed = until;
      flush();
    },
    close: () => server.close(),
  };
}

interface Item {
  readonly stanza: string;
  readonly stamp: string;
  readonly direction: 'in' | 'out';
}

function item(seq: number, { stanza, stamp, direction }: Item): string {
  return `<message from='localhost' to='pusher.localhost' id='t${seq}'><tap xmlns='urn:x-event-pusher:tap:1' seq='${seq}' epoch='e1' dir='${direction}' session='alice@localhost/phone' stamp='${stamp}'/><forwarded xmlns='urn:xmpp:forward:0'>${stanza}</forwarded></message>`;
}
