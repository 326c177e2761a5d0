import { EventEmitter, once } from 'node:events';
import { isIP, type Socket } from 'node:net';
import { type ConnectionOptions, connect as connectTls } from 'node:tls';
import type { ClientAttachment } from '../../config/config.ts';
import { type Dialling, dialTcp, type Resolve } from '../../kit/dial-tcp.ts';
import { ServiceError, toError } from '../../kit/errors.ts';
import { element, escapeAttribute, findChild, toXml } from '../../packet/xml/element.ts';
import { Framer } from '../../packet/xml/frame.ts';
import { parseStanza, parseStreamHeader } from '../../packet/xml/parse.ts';

export type WireOptions = Pick<ClientAttachment, 'encryption' | 'service' | 'tls'> & {
  /** Whose certificate is expected (RFC 6120 §13.7.2.1): the domain of the account. */
  readonly domain: string;
  /** Default: the system's resolver. */
  readonly resolve?: Resolve;
};

/**
 * A connection to the server that is encrypted, where it has to be, before the library sees it: STARTTLS (RFC 6120 §5)
 * happens here, so that our own certificates count, and nobody in between can talk us out of it. Has the events and
 * methods that the library wants of a socket: `connect`, `data`, `close`, `error`.
 */
export interface Wire extends EventEmitter {
  readonly secure: boolean;
  connect(): void;
  write(data: string, written: (error?: Error | null) => void): void;
  end(): void;
  pause(): void;
  resume(): void;
  destroy(): void;
}

const tlsNs = 'urn:ietf:params:xml:ns:xmpp-tls';
const streamsNs = 'http://etherx.jabber.org/streams';
/** Features are a few hundred bytes; who sends more before a login is no XMPP server. */
const maxFeaturesBytes = 65_536;

export function createWire(options: WireOptions): Wire {
  const emitter = new EventEmitter();
  let dialling: Dialling | undefined;
  let socket: Socket | undefined;
  let destroyed = false;

  function connect(): void {
    dialling = dialTcp({ ...options.service, resolve: options.resolve }, (error, dialled) => {
      if (error === undefined) encrypt(dialled).catch(failed);
      else failed(error);
    });
  }

  async function encrypt(bare: Socket): Promise<void> {
    bare.on('error', () => undefined); // who uses it listens too; this is for the moments in between
    hold(bare);
    bare.setNoDelay(true);
    if (options.encryption === 'plain') return open(bare);
    if (options.encryption === 'starttls') await askForTls(bare, options.domain);
    const encrypted = hold(connectTls({ ...tlsOptions(options), socket: bare }));
    await once(encrypted, 'secureConnect');
    open(encrypted);
  }

  /** An error before it is open rejects what waits for it; the later ones are the library's. */
  function hold<S extends Socket>(dialled: S): S {
    socket = dialled;
    if (destroyed) dialled.destroy();
    return dialled;
  }

  function open(ready: Socket): void {
    ready.on('data', (chunk) => emitter.emit('data', chunk));
    ready.on('error', (error) => emitter.emit('error', error));
    ready.on('close', () => emitter.emit('close'));
    emitter.emit('connect');
  }

  function failed(thrown: unknown): void {
    socket?.on('error', () => undefined); // it has told why already
    socket?.destroy();
    emitter.emit('error', toError(thrown));
  }

  return Object.assign(emitter, {
    secure: options.encryption !== 'plain',
    connect,
    write: (data: string, written: (error?: Error | null) => void) => void socket?.write(data, written),
    end: () => void socket?.end(),
    pause: () => void socket?.pause(),
    resume: () => void socket?.resume(),
    destroy: () => {
      destroyed = true;
      dialling?.cancel();
      socket?.destroy();
    },
  });
}

function tlsOptions({ domain, encryption, tls }: WireOptions): ConnectionOptions {
  const { verify, serverName = domain, minVersion, maxVersion, ...material } = tls;
  return {
    ...material,
    ...(isIP(serverName) === 0 ? { servername: serverName } : {}),
    ...(minVersion === undefined ? {} : { minVersion }),
    ...(maxVersion === undefined ? {} : { maxVersion }),
    host: serverName, // whose name the certificate must bear
    rejectUnauthorized: verify,
    ...(encryption === 'direct' ? { ALPNProtocols: ['xmpp-client'] } : {}), // XEP-0368 §4
  };
}

/** Opens a stream and asks it to become TLS; resolves when the server waits for the handshake. Throws ATTACH_REFUSED. */
function askForTls(socket: Socket, domain: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const framer = new Framer({
      maxStanzaBytes: maxFeaturesBytes,
      onOpen: (header) => {
        namespaces = parseStreamHeader(header).namespaces;
      },
      onStanza: (bytes) => {
        const answer = parseStanza(bytes, { namespaces });
        if (answer.ns === tlsNs && answer.name === 'proceed') return done();
        if (answer.ns !== streamsNs || findChild(answer, 'starttls', tlsNs) === undefined) throw noTls();
        socket.write(toXml(element('starttls', { xmlns: tlsNs })));
      },
      onClose: () => reject(noTls()),
    });
    let namespaces: Readonly<Record<string, string>> = {};

    function done(): void {
      socket.off('data', read).off('error', reject).off('close', closed);
      socket.pause();
      resolve();
    }

    function read(chunk: Buffer): void {
      try {
        framer.push(chunk);
      } catch (thrown) {
        reject(thrown);
      }
    }

    const closed = () => reject(new ServiceError('STREAM_INVALID', 'the connection was closed before it was encrypted'));
    socket.on('data', read).on('error', reject).on('close', closed);
    socket.write(
      `<?xml version='1.0'?><stream:stream xmlns='jabber:client' xmlns:stream='${streamsNs}' version='1.0' to='${escapeAttribute(domain)}'>`,
    );
  });
}

function noTls(): ServiceError {
  return new ServiceError('ATTACH_REFUSED', 'the server does not offer STARTTLS, and the password is not sent without encryption');
}
