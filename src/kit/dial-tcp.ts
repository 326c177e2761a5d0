/**
 * Opens a TCP connection to a host with one or several addresses (RFC 8305). Attempts start one after another and run in
 * parallel; the first to connect wins. Node's own `autoSelectFamily` aborts every attempt but the last after 250 ms, so it never
 * reaches a host with IPv4 and IPv6 behind a slower network. Here only the caller's deadline ends an attempt.
 */
import { ADDRCONFIG, type LookupAddress, type LookupAllOptions, lookup as systemLookup } from 'node:dns';
import { closeSync, openSync } from 'node:fs';
import { connect, isIP, type Socket } from 'node:net';
import { networkInterfaces } from 'node:os';
import { toError } from './errors.ts';

/** Resolves all addresses of a name. */
export type Resolve = (
  name: string,
  options: LookupAllOptions,
  found: (error: NodeJS.ErrnoException | null, addresses: LookupAddress[]) => void,
) => void;

export interface Endpoint {
  readonly host: string;
  readonly port: number;
  /** Only the addresses that it returns are dialled. Default: the system's resolver. */
  readonly resolve?: Resolve | undefined;
  /** Buffer that the connection reads into; many connections may share it. Not for TLS. Default: Node allocates 64 KiB for each read. */
  readonly readBuffer?: Buffer | undefined;
}

/** Called once, after `dialTcp` has returned, and never after `cancel`. The socket has no listeners; add an error listener at once. */
type Dialled = (...result: [error: Error, socket: undefined] | [error: undefined, socket: Socket]) => void;

export interface Dialling {
  /** Abandons the dial and closes its connections. */
  cancel(): void;
}

/** Dials until one address connects or all have failed. The caller sets the deadline. */
export function dialTcp(endpoint: Endpoint, dialled: Dialled): Dialling {
  const dial = new TcpDial(endpoint, dialled);
  queueMicrotask(() => dial.begin());
  return dial;
}

/** Time between the starts of two attempts, ms (RFC 8305 §8). */
const STAGGER_MS = 250;
/** Limit for the answer of a name server, which may list thousands of addresses. */
const MAX_ADDRESSES = 16;

class TcpDial implements Dialling {
  readonly #endpoint: Endpoint;
  readonly #dialled: Dialled;
  readonly #attempts = new Set<Socket>();
  readonly #errors: Error[] = [];
  #untried: LookupAddress[] = [];
  #timer: NodeJS.Timeout | undefined;
  #over = false;

  constructor(endpoint: Endpoint, dialled: Dialled) {
    this.#endpoint = endpoint;
    this.#dialled = dialled;
  }

  begin(): void {
    if (this.#over) return;
    const { host, resolve = systemLookup } = this.#endpoint;
    const family = isIP(host);
    if (family !== 0) return this.#try([{ address: host, family }]);
    try {
      resolve(host, { all: true, hints: ADDRCONFIG }, (error, addresses) => {
        if (error === null) this.#try(addresses);
        else this.#fail(outOfDescriptors(`cannot look up ${host}`, error) ?? error);
      });
    } catch (thrown) {
      this.#fail(toError(thrown));
    }
  }

  cancel(): void {
    this.#over = true;
    clearTimeout(this.#timer);
    for (const socket of this.#attempts) socket.destroy();
    this.#attempts.clear();
  }

  #try(addresses: readonly LookupAddress[]): void {
    if (this.#over) return;
    this.#untried = alternating(addresses.filter(({ address }) => isIP(address) !== 0)).slice(0, MAX_ADDRESSES);
    if (this.#untried.length > 0) return this.#next();
    const { host } = this.#endpoint;
    this.#fail(Object.assign(new Error(`${host} has no address`), { code: 'ENOTFOUND' }));
  }

  #next(): void {
    clearTimeout(this.#timer);
    const next = this.#untried.shift();
    if (next === undefined) return;
    if (this.#untried.length > 0) this.#timer = setTimeout(() => this.#next(), STAGGER_MS);
    const socket = connectTo(next.address, this.#endpoint);
    this.#attempts.add(socket);
    socket.on('error', (error) => this.#lost(socket, error));
    socket.once('connect', () => this.#won(socket));
  }

  #lost(socket: Socket, error: Error): void {
    if (this.#over) return;
    this.#attempts.delete(socket);
    this.#errors.push(error);
    if (this.#untried.length > 0) this.#next();
    else if (this.#attempts.size === 0) this.#fail(joined(this.#errors));
  }

  #won(socket: Socket): void {
    if (this.#over) return;
    this.#attempts.delete(socket);
    this.cancel();
    socket.removeAllListeners('error');
    this.#dialled(undefined, socket);
  }

  #fail(error: Error): void {
    if (this.#over) return;
    this.cancel();
    this.#dialled(error, undefined);
  }
}

/** With a read buffer, each read copies the received bytes and allocates no 64 KiB. */
function connectTo(host: string, { port, readBuffer }: Endpoint): Socket {
  if (readBuffer === undefined) return connect({ host, port });
  const callback = (length: number): boolean => socket.push(Buffer.from(readBuffer.subarray(0, length)));
  const socket = connect({ host, port, onread: { buffer: readBuffer, callback } });
  return socket;
}

/** Alternates between the address families in the resolver's order (RFC 8305 §4). */
function alternating(addresses: readonly LookupAddress[]): LookupAddress[] {
  const first = addresses.filter(({ family }) => family === addresses[0]?.family);
  const second = addresses.filter(({ family }) => family !== addresses[0]?.family);
  return first.flatMap((address, index) => [address, ...second.slice(index, index + 1)]).concat(second.slice(first.length));
}

/** Combines the errors of all addresses: every message, and the most specific code. */
function joined(errors: readonly Error[]): Error {
  const [first] = errors;
  if (first !== undefined && errors.length === 1) return first;
  const codes = errors.map(systemCode);
  const code = codes.find((each) => shortages.has(each)) ?? codes.find((each) => !routeless.has(each)) ?? codes[0];
  return Object.assign(new AggregateError(errors, errors.map(({ message }) => message).join('; ')), { code });
}

/** Codes for an address family without a route on this machine. */
const routeless: ReadonlySet<string> = new Set(['EADDRNOTAVAIL', 'EAFNOSUPPORT', 'EHOSTUNREACH', 'ENETUNREACH']);

/** Codes for a machine or process without free descriptors, buffers or memory. */
const shortages: ReadonlySet<string> = new Set(['EMFILE', 'ENFILE', 'ENOBUFS', 'ENOMEM']);

/**
 * Whether a connection failed because this machine has no free descriptor, buffer, memory or local port. Such a failure is not
 * the fault of the peer.
 */
export function isLocalShortage(error: Error): boolean {
  const code = systemCode(error);
  return shortages.has(code) || (code === 'EADDRNOTAVAIL' && hasFamilyOf(error));
}

/** Outcome code of an attempt that was not made because of such a shortage. */
export const LOCAL_SHORTAGE = 'LOCAL_SHORTAGE';

/** Without an address of the family, the same code means that the machine has no such network, which is permanent. */
function hasFamilyOf(error: Error): boolean {
  const address = 'address' in error && typeof error.address === 'string' ? error.address : '';
  const family = isIP(address) === 6 ? 'IPv6' : 'IPv4';
  return Object.values(networkInterfaces()).some((addresses) => addresses?.some((each) => each.family === family));
}

/** The resolver needs descriptors but does not report a lack of them, so this opens a file to find out. */
function outOfDescriptors(failure: string, cause: Error): Error | undefined {
  try {
    closeSync(openSync('/dev/null', 'r'));
    return undefined;
  } catch (thrown) {
    const code = systemCode(toError(thrown));
    return shortages.has(code)
      ? Object.assign(new Error(`${failure}: ${code}, no file descriptor is free`, { cause }), { code })
      : undefined;
  }
}

function systemCode(error: Error): string {
  return 'code' in error && typeof error.code === 'string' ? error.code : '';
}
