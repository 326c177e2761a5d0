import type { IncomingMessage, ServerResponse } from 'node:http';
import { isKnownHost } from '../admin/access.ts';
import type { Clock, Timers } from '../kit/clock.ts';
import { HttpListener } from '../kit/http-listener.ts';
import { type ListenerPem, ListenerTls } from '../kit/listener-tls.ts';

export interface Address {
  readonly host: string;
  readonly port: number;
  /** Undefined: no TLS. */
  readonly tls: ListenerPem | undefined;
}

interface Time {
  readonly clock: Pick<Clock, 'monotonic'>;
  readonly timers: Timers;
}

/** Serves the admin address while no service runs: `/healthz` reports the process, `/readyz` the reason why it is not ready. */
export class StandIn {
  readonly #time: Time;
  #listener: HttpListener | undefined;
  #reason = '';
  #moving: Promise<void> = Promise.resolve();

  constructor(time: Time) {
    this.#time = time;
  }

  /** Opens the listener, or changes the reason. A failure to listen is ignored: the log already has the service failure. */
  show(address: Address, reason: string): void {
    this.#reason = reason;
    this.#moving = this.#moving.then(async () => {
      if (this.#listener !== undefined) return;
      const listener = this.#listenerAt(address);
      this.#listener = await listener.open().then(
        () => listener,
        () => undefined,
      );
    });
  }

  /** Resolves when the address is free. */
  close(): Promise<void> {
    this.#moving = this.#moving.then(async () => {
      await this.#listener?.close();
      this.#listener = undefined;
    });
    return this.#moving;
  }

  #listenerAt({ tls, ...listen }: Address): HttpListener {
    return new HttpListener({
      listen,
      tls: tls && new ListenerTls(tls),
      setting: '[admin] listen',
      failure: 'ADMIN_LISTEN_FAILED',
      limits: { maxConnections: 50, headersTimeoutMs: 5000, requestTimeoutMs: 5000, keepAliveMs: 1000 },
      endWithinMs: 100,
      serve: (request, response) => this.#serve(listen.host, request, response),
      onRefused: () => undefined, // refused connections are irrelevant while the service is down
      onFault: () => undefined,
      ...this.#time,
    });
  }

  #serve(listenHost: string, { headers, url = '' }: IncomingMessage, response: ServerResponse): void {
    const path = url.split('?', 1)[0];
    const reason = this.#reason;
    if (!isKnownHost(headers.host, listenHost)) answer(response, 421, { code: 'UNKNOWN_HOST', message: 'use the IP address as Host' });
    else if (path === '/healthz') answer(response, 200, { status: 'ok' });
    else if (path === '/readyz') answer(response, 503, { status: 'not ready', checks: [{ name: 'service', ready: false, reason }] });
    else answer(response, 503, { code: 'SERVICE_DOWN', message: `the service is not running: ${reason}` });
  }
}

function answer(response: ServerResponse, status: number, body: object): void {
  const fields = { 'content-type': 'application/json; charset=utf-8', 'cache-control': 'no-store', connection: 'close' };
  response.writeHead(status, fields).end(JSON.stringify(body));
}
