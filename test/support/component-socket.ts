import { createHash } from 'node:crypto';
import type { Inbox } from './inbox.ts';
import { openTcpStream, type TcpStream } from './tcp-stream.ts';

/** A component (XEP-0114) that sends only the stanzas of the test. */
export interface ComponentSocket extends Pick<TcpStream, 'closed' | 'cut' | 'pause' | 'resume' | 'send'>, AsyncDisposable {
  readonly inbox: Inbox;
}

export interface ComponentLogin {
  readonly port: number;
  readonly domain: string;
  readonly secret: string;
}

/** Connects and completes the handshake; rejects if the server refuses it. */
export async function connectComponent({ port, domain, secret }: ComponentLogin): Promise<ComponentSocket> {
  const { open, ...stream } = await openTcpStream(domain, port);
  const { id = '' } = await open(
    `<stream:stream xmlns='jabber:component:accept' xmlns:stream='http://etherx.jabber.org/streams' to='${domain}'>`,
  );
  const proof = createHash('sha1').update(`${id}${secret}`).digest('hex');
  stream.send(`<handshake>${proof}</handshake>`);
  const answer = await stream.inbox.next();
  if (answer.name !== 'handshake') throw new Error(`${domain}: refused: ${answer.xml}`);
  return { ...stream, [Symbol.asyncDispose]: stream.cut };
}
