/** The connection of a worker: dialled here, TCP and TLS, and handed to the HTTP client. */
import { isIP, type Socket } from 'node:net';
import { type ConnectionOptions, connect as connectTls, type TLSSocket } from 'node:tls';
import type { Clock } from '../src/kit/clock.ts';
import { type Dialling, dialTcp, type Resolve } from '../src/kit/dial-tcp.ts';
import { toError } from '../src/kit/errors.ts';
import type { Random } from '../src/kit/pacing.ts';
import type { PoolThreadSettings, PoolTls } from './contract.ts';

/** Code of a failed use of a connection that has closed in the meantime. */
export const CONNECTION_GONE = 'CONNECTION_GONE';

/** The error of a request that was built for a connection that has closed, and may not use another one. */
export function connectionGone(): Error {
  return Object.assign(new Error('the connection closed after the request was built'), { code: CONNECTION_GONE });
}

/** Age limit of connections. */
interface AgeLimit {
  readonly clock: Clock;
  /** Milliseconds; Infinity disables the limit. */
  readonly maxAgeMs: number;
  readonly random: Random;
}

/** How long an open connection that no HTTP client uses is kept, ms. */
const UNUSED_MS = 4000;

/** The largest random reduction of the age limit, as a fraction. */
const AGE_SPREAD = 0.2;

/**
 * A worker's current connection. It is dialled when the HTTP client has a request to send, or ahead of that for a message
 * with a session; then it stays here, unused, until the HTTP client takes it.
 */
export class Connection {
  /** Requests sent on the current connection, including the one in progress. */
  requestCount = 0;
  readonly #dial: Dial;
  readonly #ageLimit: AgeLimit | undefined;
  #handle: DialHandle | undefined;
  #socket: Socket | undefined;
  #unused = false;
  #closesAt = Number.POSITIVE_INFINITY;

  constructor(dial: Dial, ageLimit?: AgeLimit) {
    this.#dial = dial;
    this.#ageLimit = ageLimit;
  }

  /** The open connection, if there is one. */
  get current(): Socket | undefined {
    return this.#socket?.destroyed === false ? this.#socket : undefined;
  }

  /** Dials a new connection for an HTTP client that waits for it. */
  open(onOpened: OnOpened): void {
    this.requestCount = 0;
    this.#socket = undefined;
    this.#unused = false;
    this.#handle = this.#dial((...result) => {
      const [, socket] = result;
      this.#socket = socket;
      this.#closesAt = this.#ageLimit === undefined ? Number.POSITIVE_INFINITY : closingTime(this.#ageLimit);
      onOpened(...result);
    });
  }

  /** Dials a new connection ahead of any request. It stays unused until an HTTP client takes it. */
  openAhead(onOpened: OnOpened): void {
    this.open((...result) => {
      const [, socket] = result;
      socket?.on('error', ignoreError);
      this.#unused = socket !== undefined;
      onOpened(...result);
    });
  }

  /** Hands the unused connection to an HTTP client; undefined if there is none. */
  takeUnused(): Socket | undefined {
    const socket = this.#unused ? this.hold() : undefined;
    this.#unused = false;
    return socket;
  }

  /** Stops the idle timer, because the connection is about to be used. Returns the open connection, if there is one. */
  hold(): Socket | undefined {
    return this.#unused ? this.current?.setTimeout(0).off('timeout', destroy) : this.current;
  }

  /** Starts the idle timer of an unused connection, which no HTTP client would close. */
  release(): void {
    if (this.#unused) this.current?.setTimeout(UNUSED_MS).once('timeout', destroy);
  }

  /** Closes an idle connection that has reached its age limit, so that the next request resolves the host name again. */
  closeIfOld(): void {
    if (this.#ageLimit !== undefined && this.#ageLimit.clock.monotonic() >= this.#closesAt) this.destroy();
  }

  /** Closes the connection. If it is not open yet and a reason is given, the callback of `open` gets the reason. */
  destroy(reason?: Error): void {
    this.#closesAt = Number.POSITIVE_INFINITY;
    this.#handle?.destroy(reason);
  }
}

/** Somewhat earlier than the limit, at random, so that connections that were opened together do not close together. */
function closingTime({ clock, maxAgeMs, random }: AgeLimit): number {
  return clock.monotonic() + maxAgeMs * (1 - AGE_SPREAD * random());
}

function destroy(this: Socket): void {
  this.destroy();
}

function ignoreError(): void {
  // An error without a listener would end the thread; the `close` event that follows is handled.
}

/** Opens one connection to the pool's origin. */
export type Dial = (onOpened: OnOpened) => DialHandle;

/** Called once, with an error or with an open connection, TLS included. */
type OnOpened = (...result: [error: Error, socket: undefined] | [error: undefined, socket: Socket]) => void;

/** A connection that is being opened or is open. */
interface DialHandle {
  /** Closes the connection. If it is not open yet and a reason is given, the callback gets the reason. */
  destroy(reason?: Error): void;
}

/** Idle time after which TCP checks whether the peer still responds, ms. */
const TCP_KEEP_ALIVE_MS = 60_000;

/** As much as Node reads at once. */
const READ_BYTES = 65_536;

/**
 * Connections to one origin share their TLS session, so that a reconnect avoids a full handshake. `resolve` gives the
 * addresses of a name, for each connection again, and only these are dialled; default: the system's. `connect` replaces `dialTcp`.
 */
export function createDial({ origin, tls }: Pick<PoolThreadSettings, 'origin' | 'tls'>, resolve?: Resolve, connect = dialTcp): Dial {
  const url = new URL(origin);
  const host = url.hostname.replace(/^\[|\]$/g, '');
  const secure = url.protocol === 'https:';
  const readBuffer = secure ? undefined : Buffer.allocUnsafeSlow(READ_BYTES);
  const endpoint = { host, port: Number(url.port || (secure ? 443 : 80)), resolve, readBuffer };
  const options = { ...tlsOptions(tls), ...serverName(tls, host), host, ALPNProtocols: ['http/1.1'] };
  let session: Buffer | undefined;

  function encrypt(bare: Socket): TLSSocket {
    const socket = connectTls({ ...options, socket: bare, ...(session === undefined ? {} : { session }) });
    socket.on('session', (latest) => {
      session = latest;
    });
    return socket;
  }

  return (onOpened) => new Opening((dialled) => connect(endpoint, dialled), { encrypt: secure ? encrypt : undefined, onOpened });
}

/** A connection while it is being opened: TCP, then TLS for an https origin. */
class Opening implements DialHandle {
  readonly #dialling: Dialling;
  #socket: Socket | undefined;
  #report: OnOpened;

  constructor(
    dial: (dialled: Parameters<typeof dialTcp>[1]) => Dialling,
    { encrypt, onOpened }: { readonly encrypt: ((bare: Socket) => TLSSocket) | undefined; readonly onOpened: OnOpened },
  ) {
    this.#report = (...result) => {
      this.#report = () => undefined;
      onOpened(...result);
    };
    this.#dialling = dial((error, bare) => {
      if (error !== undefined) return this.#report(error, undefined);
      this.#socket = bare.setNoDelay(true).setKeepAlive(true, TCP_KEEP_ALIVE_MS);
      if (encrypt === undefined) return this.#report(undefined, bare);
      bare.on('error', ignoreError); // the TLS socket emits it as well
      try {
        this.#handshake(encrypt(bare));
      } catch (thrown) {
        bare.destroy();
        this.#report(toError(thrown), undefined); // an invalid certificate or cipher
      }
    });
  }

  #handshake(socket: TLSSocket): void {
    const failed = (error: Error): void => this.#report(error, undefined);
    this.#socket = socket.once('error', failed).once('secureConnect', () => {
      socket.off('error', failed);
      this.#report(undefined, socket);
    });
  }

  destroy(reason?: Error): void {
    this.#dialling.cancel();
    this.#socket?.destroy(reason);
    if (this.#socket === undefined && reason !== undefined) process.nextTick(() => this.#report(reason, undefined));
  }
}

/** The pool's TLS settings under Node's names; Node's default applies to an undefined one. */
function tlsOptions(tls: PoolTls): ConnectionOptions {
  const { ca, cert, key, passphrase, ciphers, minVersion, maxVersion } = tls;
  const given = Object.entries({ ca, cert, key, passphrase, ciphers, minVersion, maxVersion }).filter(([, value]) => value !== undefined);
  return { ...Object.fromEntries(given), rejectUnauthorized: tls.verify };
}

/** SNI takes no addresses (RFC 6066 §3); an address is still checked against the certificate. */
function serverName(tls: PoolTls, host: string): { readonly servername?: string } {
  if (tls.serverName !== undefined) return { servername: tls.serverName };
  return isIP(host) === 0 ? { servername: host } : {};
}
