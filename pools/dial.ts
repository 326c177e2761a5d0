import { connect as connectTcp, isIP, type LookupFunction, type Socket } from 'node:net';
import { type ConnectionOptions, connect as connectTls, type TLSSocket } from 'node:tls';
import type { PoolThreadSettings, PoolTls } from './contract.ts';

/** Opens one connection to the pool's origin. The socket is there at once, to be destroyed if it takes too long. */
export type Dial = (opened: Opened) => Socket;

/** Called once, with the error of a connection that could not be made, or with one that stands, TLS included. */
export type Opened = (error: Error | undefined, socket: Socket) => void;

/** Idle time after which TCP itself asks whether the peer is still there, ms. */
const TCP_KEEP_ALIVE_MS = 60_000;

/**
 * Connections of one origin share their TLS session, so that a reconnect spares the full handshake. `lookup` gives the
 * addresses of a name, and no other is dialled; default: the system's resolver.
 */
export function createDial({ origin, tls }: Pick<PoolThreadSettings, 'origin' | 'tls'>, lookup?: LookupFunction): Dial {
  const url = new URL(origin);
  const host = url.hostname.replace(/^\[|\]$/g, '');
  const secure = url.protocol === 'https:';
  const port = Number(url.port || (secure ? 443 : 80));
  const secrets = secure ? { ...tlsOptions(tls), ...serverName(tls, host), ALPNProtocols: ['http/1.1'] } : {};
  const place = { host, port, ...(lookup === undefined ? {} : { lookup }) };
  let session: Buffer | undefined;

  function open(): Socket | TLSSocket {
    if (!secure) return connectTcp({ ...place, noDelay: true });
    const socket = connectTls({ ...secrets, ...place, ...(session === undefined ? {} : { session }) });
    socket.on('session', (fresh) => {
      session = fresh;
    });
    return socket.setNoDelay(true);
  }

  return (opened) => {
    const socket = open().setKeepAlive(true, TCP_KEEP_ALIVE_MS);
    const failed = (error: Error): void => opened(error, socket);
    socket.once('error', failed);
    socket.once(secure ? 'secureConnect' : 'connect', () => {
      socket.off('error', failed);
      opened(undefined, socket);
    });
    return socket;
  };
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
