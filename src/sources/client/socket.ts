import { EventEmitter, once } from 'node:events';
import { isIP, type Socket } from 'node:net';
import { type ConnectionOptions, connect as connectTls } from 'node:tls';
import type { ClientAttachment } from '../../config/service-config.ts';
import { type Dialling, dialTcp, type Resolve } from '../../kit/dial-tcp.ts';
import { ServiceError, toError } from '../../kit/errors.ts';
import { element, escapeAttribute, findChild, toXml } from '../../packet/xml/element.ts';
import { Framer } from '../../packet/xml/frame.ts';
import { parseStanza, parseStreamHeader } from '../../packet/xml/parse.ts';
import { streamsNs } from '../xmpp-stream.ts';

type SocketOptions = Pick<ClientAttachment, 'encryption' | 'service' | 'tls'> & {
  /** The expected name of the certificate (RFC 6120 §13.7.2.1): the domain of the account. */
  readonly domain: string;
  /** Default: the system's resolver. */
  readonly resolve?: Resolve;
};

export const tlsNs = 'urn:ietf:params:xml:ns:xmpp-tls';

/** Features are a few hundred bytes; a peer that sends more before a login is no XMPP server. */
const maxFeaturesBytes = 65_536;

/**
 * A connection to the server that is encrypted, if required, before the library uses it: STARTTLS (RFC 6120 §5) happens
 * here, so that our own certificates are used and an attacker on the path cannot strip it. Has the events and methods that
 * the library expects of a socket (hence the inheritance): `connect`, `data`, `close`, `error`.
 */
export class ClientSocket extends EventEmitter {
  /** Read by the library. */
  readonly secure: boolean;
  readonly #options: SocketOptions;
  #dialling: Dialling | undefined;
  #socket: Socket | undefined;
  #destroyed = false;

  constructor(options: SocketOptions) {
    super();
    this.#options = options;
    this.secure = options.encryption !== 'plain';
  }

  connect(): void {
    const { service, resolve } = this.#options;
    this.#dialling = dialTcp({ ...service, resolve }, (error, dialled) => {
      if (error === undefined) this.#encrypt(dialled).catch((thrown: unknown) => this.#failed(thrown));
      else this.#failed(error);
    });
  }

  write(data: string, written: (error?: Error | null) => void): void {
    this.#socket?.write(data, written);
  }

  end(): void {
    this.#socket?.end();
  }

  pause(): void {
    this.#socket?.pause();
  }

  resume(): void {
    this.#socket?.resume();
  }

  destroy(): void {
    this.#destroyed = true;
    this.#dialling?.cancel();
    this.#socket?.destroy();
  }

  async #encrypt(bare: Socket): Promise<void> {
    const { encryption, domain } = this.#options;
    bare.on('error', () => undefined); // the current user of the socket listens too; this covers the moments in between
    this.#hold(bare);
    bare.setNoDelay(true);
    if (encryption === 'plain') return this.#open(bare);
    if (encryption === 'starttls') await requestTls(bare, domain);
    const encrypted = this.#hold(connectTls({ ...tlsOptions(this.#options), socket: bare }));
    await once(encrypted, 'secureConnect');
    this.#open(encrypted);
  }

  #hold<S extends Socket>(socket: S): S {
    this.#socket = socket;
    if (this.#destroyed) socket.destroy();
    return socket;
  }

  #open(socket: Socket): void {
    socket.on('data', (chunk) => this.emit('data', chunk));
    socket.on('error', (error) => this.emit('error', error));
    socket.on('close', () => this.emit('close'));
    this.emit('connect');
  }

  #failed(thrown: unknown): void {
    this.#socket?.on('error', () => undefined); // the cause is already known
    this.#socket?.destroy();
    this.emit('error', toError(thrown));
  }
}

function tlsOptions({ domain, encryption, tls }: SocketOptions): ConnectionOptions {
  const { verify, serverName = domain, minVersion, maxVersion, ...material } = tls;
  return {
    ...material,
    ...(isIP(serverName) === 0 ? { servername: serverName } : {}),
    ...(minVersion === undefined ? {} : { minVersion }),
    ...(maxVersion === undefined ? {} : { maxVersion }),
    host: serverName, // the name that the certificate is checked against
    rejectUnauthorized: verify,
    ...(encryption === 'direct' ? { ALPNProtocols: ['xmpp-client'] } : {}), // XEP-0368 §4
  };
}

/** Opens a stream and requests STARTTLS; resolves when the server waits for the TLS handshake. Throws ATTACH_REFUSED. */
function requestTls(socket: Socket, domain: string): Promise<void> {
  return new Promise((resolve, reject) => {
    let namespaces: Readonly<Record<string, string>> = {};
    const framer = new Framer({
      maxStanzaBytes: maxFeaturesBytes,
      onOpen: (header) => {
        namespaces = parseStreamHeader(header).namespaces;
      },
      onStanza: (bytes) => {
        const answer = parseStanza(bytes, { namespaces });
        if (answer.ns === tlsNs && answer.name === 'proceed') return proceed();
        if (answer.ns !== streamsNs || findChild(answer, 'starttls', tlsNs) === undefined) throw noTls();
        socket.write(toXml(element('starttls', { xmlns: tlsNs })));
      },
      onClose: () => reject(noTls()),
    });

    function proceed(): void {
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
    const attrs = `xmlns='jabber:client' xmlns:stream='${streamsNs}' version='1.0' to='${escapeAttribute(domain)}'`;
    socket.on('data', read).on('error', reject).on('close', closed);
    socket.write(`<?xml version='1.0'?><stream:stream ${attrs}>`);
  });
}

function noTls(): ServiceError {
  return new ServiceError('ATTACH_REFUSED', 'the server does not offer STARTTLS, and the password is not sent without encryption');
}
