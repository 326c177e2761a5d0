import { isIP, type Socket } from 'node:net';
import { type ConnectionOptions, connect as connectTls, type TLSSocket } from 'node:tls';
import { type Dialling, dialTcp, type Endpoint, type Resolve } from '../src/kit/dial-tcp.ts';
import { toError } from '../src/kit/errors.ts';
import type { PoolThreadSettings, PoolTls } from './contract.ts';

/** Opens one connection to the pool's origin. */
export type Dial = (opened: Opened) => Dialled;

/** Called once, with the error of a connection that could not be made, or with one that stands, TLS included. */
export type Opened = (...result: [error: Error, socket: undefined] | [error: undefined, socket: Socket]) => void;

/** A connection that is being opened or is open. */
export interface Dialled {
  /** Closes the connection. If it is not open yet and a reason is given, `opened` is called with the reason. */
  destroy(reason?: Error): void;
}

/** Idle time after which TCP itself asks whether the peer is still there, ms. */
const TCP_KEEP_ALIVE_MS = 60_000;

/**
 * Connections of one origin share their TLS session, so that a reconnect avoids a full handshake. `resolve` gives the
 * addresses of a name, and only these are dialled; default: the system's resolver. Each connection resolves the name again.
 */
export function createDial({ origin, tls }: Pick<PoolThreadSettings, 'origin' | 'tls'>, resolve?: Resolve): Dial {
  const url = new URL(origin);
  const host = url.hostname.replace(/^\[|\]$/g, '');
  const secure = url.protocol === 'https:';
  const place = { host, port: Number(url.port || (secure ? 443 : 80)), resolve };
  const secrets = { ...tlsOptions(tls), ...serverName(tls, host), host, ALPNProtocols: ['http/1.1'] };
  let session: Buffer | undefined;

  function encrypt(bare: Socket): TLSSocket {
    const socket = connectTls({ ...secrets, socket: bare, ...(session === undefined ? {} : { session }) });
    socket.on('session', (fresh) => {
      session = fresh;
    });
    return socket;
  }

  return (opened) => new Opening(place, { encrypt: secure ? encrypt : undefined, opened });
}

/** One connection while it is being opened: TCP, then TLS for an https origin. */
class Opening implements Dialled {
  readonly #dialling: Dialling;
  #socket: Socket | undefined;
  #tell: Opened;

  constructor(
    place: Endpoint,
    { encrypt, opened }: { readonly encrypt: ((bare: Socket) => TLSSocket) | undefined; readonly opened: Opened },
  ) {
    this.#tell = (...result) => {
      this.#tell = () => undefined;
      opened(...result);
    };
    this.#dialling = dialTcp(place, (error, bare) => {
      if (error !== undefined) return this.#tell(error, undefined);
      this.#socket = bare.setNoDelay(true).setKeepAlive(true, TCP_KEEP_ALIVE_MS);
      if (encrypt === undefined) return this.#tell(undefined, bare);
      bare.on('error', ignore);
      try {
        this.#shakeHands(encrypt(bare));
      } catch (thrown) {
        bare.destroy();
        this.#tell(toError(thrown), undefined); // an invalid certificate or cipher
      }
    });
  }

  #shakeHands(socket: TLSSocket): void {
    const failed = (error: Error): void => this.#tell(error, undefined);
    this.#socket = socket.once('error', failed).once('secureConnect', () => {
      socket.off('error', failed);
      this.#tell(undefined, socket);
    });
  }

  destroy(reason?: Error): void {
    this.#dialling.cancel();
    this.#socket?.destroy(reason);
    if (this.#socket === undefined && reason !== undefined) process.nextTick(() => this.#tell(reason, undefined));
  }
}

function ignore(): void {
  // Errors of the TCP socket are also emitted by the TLS socket.
}

/** The pool's TLS in Node's words; what is undefined stays Node's default. */
function tlsOptions(tls: PoolTls): ConnectionOptions {
  const given = {
    ca: tls.ca,
    cert: tls.cert,
    key: tls.key,
    passphrase: tls.passphrase,
    ciphers: tls.ciphers,
    minVersion: tls.minVersion,
    maxVersion: tls.maxVersion,
  };
  const set = Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined));
  return { ...set, rejectUnauthorized: tls.verify };
}

/** An address cannot be asked for by name (RFC 6066 §3); it is still checked against the certificate. */
function serverName(tls: PoolTls, host: string): { readonly servername?: string } {
  if (tls.serverName !== undefined) return { servername: tls.serverName };
  return isIP(host) === 0 ? { servername: host } : {};
}
