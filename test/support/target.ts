import { randomInt } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type Server, type Socket } from 'node:net';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createServer as createTlsServer, TLSSocket } from 'node:tls';
import { eventually } from './eventually.ts';
import { createRequestReader, type TargetRequest } from './request-reader.ts';
import type { Identity } from './self-signed.ts';

/** The response of a target to a request that it has read. Delays in ms. */
export type Answer =
  /** `contentLength` may be wrong; `interim` are statuses below 200 that are sent first. */
  | {
      readonly kind: 'answer';
      readonly status?: number;
      readonly headers?: readonly (readonly [string, string])[];
      readonly body?: string | Uint8Array;
      readonly contentLength?: number;
      readonly interim?: readonly number[];
      readonly delayMs?: number;
      /** Closes the connection after the response. */
      readonly close?: boolean;
    }
  /** Unchanged bytes, valid HTTP or not, sent as fast as they are read; by default the connection then stays open. */
  | {
      readonly kind: 'bytes';
      readonly pieces: Iterable<string | Uint8Array>;
      /** Before each piece. */
      readonly gapMs?: number;
      readonly afterwards?: 'end' | 'reset';
      /** The status of these bytes, if they have one. */
      readonly status?: number;
    }
  /** Headers, then each chunk after a gap; with `gapMs` Infinity the response never ends. */
  | { readonly kind: 'slow-body'; readonly status?: number; readonly chunks: readonly string[]; readonly gapMs: number }
  | { readonly kind: 'endless-body'; readonly status?: number }
  | { readonly kind: 'garbage' }
  /** Closes its half of the connection without a response. */
  | { readonly kind: 'half-close' }
  | { readonly kind: 'reset' }
  | { readonly kind: 'silent' };

export type Script = (request: TargetRequest) => Answer | Promise<Answer>;

export interface TargetOptions {
  /** Default: 200 with the body `ok`. */
  readonly script?: Script;
  readonly tls?: Identity;
  /**
   * `bad-request`: answers 400 at the first byte, as a web server does to a TLS handshake on its plain port. `deaf`: reads
   * nothing until `hear`. `reset`: resets at the first byte, before the request is read. `mute`: does not answer even a TLS
   * handshake.
   */
  readonly onConnect?: 'bad-request' | 'deaf' | 'mute' | 'reset';
  /** Default: a free one, which stays free if the target stops and another takes its place. */
  readonly port?: number;
  /** The address of this machine on which it listens; default 127.0.0.1. */
  readonly host?: string;
  /** Default true; false saves memory in a target that runs for a long time. */
  readonly remembers?: boolean;
}

/** A scripted HTTP/1.1 backend on a real socket of this machine that records every request. */
export interface Target extends AsyncDisposable {
  readonly port: number;
  /** `http://HOST:PORT`, or https. */
  readonly origin: string;
  /** In the order in which they were read. */
  readonly requests: readonly TargetRequest[];
  /** Connections since the start, and the peak of open ones; the peak of unanswered requests. */
  readonly counts: { readonly connections: number; readonly peakOpen: number; readonly peakUnanswered: number; readonly open: number };
  /** Resolves when this number of requests has been read. */
  received(count: number): Promise<void>;
  /** Closes every connection, and continues to listen. */
  hangUp(): void;
  /** Reads and drops the bytes of its `deaf` connections from now on, and sees their end. */
  hear(): void;
  stop(): Promise<void>;
}

export async function startTarget({
  script = () => ({ kind: 'answer' }),
  tls,
  onConnect,
  port: wantedPort,
  host = '127.0.0.1',
  remembers = true,
}: TargetOptions = {}): Promise<Target> {
  const requests: TargetRequest[] = [];
  const sockets = new Set<Socket>();
  const counts = { connections: 0, peakOpen: 0, peakUnanswered: 0, open: 0 };
  let unanswered = 0;

  async function serve(socket: Socket, request: TargetRequest): Promise<void> {
    if (remembers) requests.push(request);
    unanswered += 1;
    counts.peakUnanswered = Math.max(counts.peakUnanswered, unanswered);
    try {
      await perform(socket, await script(request));
    } finally {
      unanswered -= 1;
    }
  }

  function accept(socket: Socket): void {
    const connection = counts.connections;
    counts.connections += 1;
    const serverName = socket instanceof TLSSocket && typeof socket.servername === 'string' ? socket.servername : '';
    socket.on('error', () => undefined); // many tests disconnect their clients
    if (onConnect === 'bad-request') return void socket.once('data', () => socket.end('HTTP/1.1 400 Bad Request\r\n\r\n'));
    if (onConnect === 'deaf') return void socket.pause();
    if (onConnect === 'reset') return void socket.once('data', () => socket.resetAndDestroy());
    const read = createRequestReader({ connection, serverName }, (request) => void serve(socket, request));
    socket.on('data', read);
  }

  function track(socket: Socket): void {
    sockets.add(socket);
    socket.on('error', () => undefined);
    counts.open = sockets.size;
    counts.peakOpen = Math.max(counts.peakOpen, sockets.size);
    socket.once('close', () => {
      sockets.delete(socket);
      counts.open = sockets.size;
    });
  }

  const server: Server = tls === undefined || onConnect === 'mute' ? createServer() : createTlsServer(tls);
  server.on('connection', track);
  if (onConnect === 'mute')
    server.on('connection', (socket) => socket.resume()); // so that it sees its end
  else server.on(tls === undefined ? 'connection' : 'secureConnection', accept);
  const port = await listen(server, host, wantedPort);

  async function stop(): Promise<void> {
    if (!server.listening) return;
    const closed = once(server, 'close');
    server.close();
    for (const socket of sockets) socket.destroy();
    await closed;
  }

  return {
    port,
    origin: `${tls === undefined ? 'http' : 'https'}://${host.includes(':') ? `[${host}]` : host}:${port}`,
    requests,
    counts,
    received: (count) => eventually(() => requests.length >= count),
    hangUp: () => {
      for (const socket of sockets) socket.destroy();
    },
    hear: () => {
      for (const socket of sockets) socket.resume();
    },
    stop,
    [Symbol.asyncDispose]: stop,
  };
}

/** Ports that this process has used or returned, perhaps to a caller that does not listen yet. */
const givenPorts = new Set<number>();

/** A port of 127.0.0.1 without a listener, a different one at each call. */
export async function freePort(): Promise<number> {
  const server = createServer();
  const port = await listen(server, '127.0.0.1');
  server.close();
  await once(server, 'close');
  return port;
}

/**
 * Listens, by default on a free port below the range of outgoing connections and of listeners on port 0 (from 32768), which might
 * take it while a server restarts on it. Returns the port.
 */
async function listen(server: Server, host: string, wanted?: number): Promise<number> {
  const port = wanted ?? randomInt(10_000, 32_000);
  if (wanted === undefined && givenPorts.has(port)) return listen(server, host);
  givenPorts.add(port);
  try {
    server.listen(port, host);
    await once(server, 'listening');
    return port;
  } catch (error) {
    if (wanted === undefined && error instanceof Error && 'code' in error && error.code === 'EADDRINUSE') return listen(server, host);
    throw error;
  }
}

async function perform(socket: Socket, answer: Answer): Promise<void> {
  switch (answer.kind) {
    case 'answer':
      await pause(answer.delayMs ?? 0);
      for (const status of answer.interim ?? []) socket.write(`HTTP/1.1 ${status} Early\r\n\r\n`);
      socket.write(Buffer.concat([answerHead(answer), Buffer.from(answer.body ?? 'ok')]));
      if (answer.close === true) socket.end();
      return;
    case 'bytes':
      return sendBytes(socket, answer);
    case 'slow-body':
      return sendSlowly(socket, answer);
    case 'endless-body':
      return sendForEver(socket, answer.status ?? 200);
    case 'garbage':
      socket.write('220 this is no web server\r\n');
      return;
    case 'half-close':
      socket.end();
      return;
    case 'reset':
      socket.resetAndDestroy();
      return;
    case 'silent':
      return;
    default:
      return answer satisfies never;
  }
}

function answerHead({ status = 200, headers = [], body = 'ok', contentLength }: Extract<Answer, { kind: 'answer' }>): Buffer {
  const lines = headers.map(([name, value]) => `${name}: ${value}\r\n`).join('');
  return Buffer.from(`HTTP/1.1 ${status} Scripted\r\n${lines}content-length: ${contentLength ?? Buffer.byteLength(body)}\r\n\r\n`);
}

async function sendBytes(socket: Socket, { pieces, gapMs = 0, afterwards }: Extract<Answer, { kind: 'bytes' }>): Promise<void> {
  async function* paced(): AsyncGenerator<string | Uint8Array> {
    for (const piece of pieces) {
      await pause(gapMs);
      yield piece;
    }
  }
  socket.setNoDelay(true).setMaxListeners(0); // each pipeline leaves listeners on the socket
  await pipeline(Readable.from(paced()), socket, { end: false }).catch(() => undefined); // the client disconnected
  if (afterwards === 'end') socket.end();
  else if (afterwards === 'reset') socket.resetAndDestroy();
}

async function sendSlowly(socket: Socket, { status = 200, chunks, gapMs }: Extract<Answer, { kind: 'slow-body' }>): Promise<void> {
  const length = Buffer.byteLength(chunks.join(''));
  socket.write(`HTTP/1.1 ${status} Scripted\r\ncontent-length: ${length}\r\n\r\n`);
  if (gapMs === Number.POSITIVE_INFINITY) return;
  for (const chunk of chunks) {
    await pause(gapMs);
    socket.write(chunk);
  }
}

async function sendForEver(socket: Socket, status: number): Promise<void> {
  socket.write(`HTTP/1.1 ${status} Scripted\r\ntransfer-encoding: chunked\r\n\r\n`);
  while (!socket.destroyed && socket.writable) {
    socket.write(`400\r\n${'x'.repeat(1024)}\r\n`);
    await pause(1);
  }
}

/** The delay of a script, because the test is about the client's handling of it. */
function pause(ms: number): Promise<void> {
  return ms === 0 ? Promise.resolve() : new Promise((resolve) => setTimeout(resolve, ms));
}
