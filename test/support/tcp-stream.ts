import { once } from 'node:events';
import { connect } from 'node:net';
import { Framer } from '../../src/packet/xml/frame.ts';
import { createStanzaParser, type ParseStanza, parseStreamHeader } from '../../src/packet/xml/parse.ts';
import { createInbox, type Inbox } from './inbox.ts';

/** One end of an XMPP stream over TCP with framing only; the test controls its content. */
export interface TcpStream {
  readonly inbox: Inbox;
  /** Sends a stream header and returns the attributes of the server's header; a second call restarts the stream. */
  open(header: string): Promise<Readonly<Record<string, string>>>;
  send(xml: string): void;
  /** Stops and restarts reading, so that the server's writes accumulate. */
  pause(): void;
  resume(): void;
  /** Cuts the connection without notice, as a crash does. */
  cut(): Promise<void>;
  readonly closed: Promise<void>;
}

export async function openTcpStream(owner: string, port: number): Promise<TcpStream> {
  const socket = connect(port, '127.0.0.1');
  await once(socket, 'connect');
  socket.setNoDelay(true);
  const inbox = createInbox(owner);
  let framer: Framer | undefined;
  const closed = new Promise<void>((resolve) => {
    socket.once('close', () => {
      inbox.end('the stream is closed');
      resolve();
    });
  });
  socket.on('error', () => undefined); // the close event that follows is sufficient
  socket.on('data', (chunk) => {
    try {
      framer?.push(chunk);
    } catch (error) {
      // The connection stays open: closing it with data unread would discard stanzas on their way to the server.
      framer = undefined;
      inbox.end(String(error));
    }
  });

  function open(header: string): Promise<Readonly<Record<string, string>>> {
    return new Promise((resolve) => {
      let parse: ParseStanza = createStanzaParser();
      framer = new Framer({
        maxStanzaBytes: 16 * 1024 * 1024,
        onOpen: (answer) => {
          const { stream, namespaces } = parseStreamHeader(answer);
          parse = createStanzaParser({ namespaces });
          resolve(stream.attrs);
        },
        onStanza: (bytes) => inbox.put(parse(bytes)),
        onClose: () => socket.end(),
      });
      socket.write(header);
    });
  }

  return {
    inbox,
    open,
    send: (xml) => void socket.write(xml),
    pause: () => void socket.pause(),
    resume: () => void socket.resume(),
    cut: () => {
      socket.destroy();
      return closed;
    },
    closed,
  };
}
