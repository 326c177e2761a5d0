import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { loopback } from './processes.ts';
import type { Scene } from './scene.ts';

/** A request as the backend received it. */
export interface Received {
  readonly method: string;
  readonly path: string;
  readonly webhookId: string;
  readonly attempt: string;
  /** The body; a form is ASCII. */
  readonly form: string;
  /** The status of the answer. */
  readonly status: number;
  /** Time of the monotonic clock, ms. */
  readonly at: number;
}

export interface Backend {
  readonly origin: string;
  /** Oldest first. */
  readonly received: readonly Received[];
  /** Answers the next request with 503. */
  failOnce(): void;
  /** Called with each request from now on. */
  onReceived: (request: Received) => void;
}

/** A small HTTP server in place of the application that receives the pushes. */
export async function startBackend({ cleanup, clock }: Scene): Promise<Backend> {
  const received: Received[] = [];
  let failing = false;
  const server = createServer((request, response) => {
    answer(request, response).catch(() => response.destroy()); // an incomplete request
  });
  server.listen(0, loopback);
  await once(server, 'listening');
  cleanup.add('the backend', {
    inOrder: () => {
      server.close();
      server.closeAllConnections();
    },
  });

  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const form = await text(request);
    const status = failing ? 503 : 200;
    failing = false;
    const whole = { ...head(request), form, status, at: clock.monotonic() };
    received.push(whole);
    response.writeHead(status).end();
    backend.onReceived(whole);
  }

  const backend: Backend = {
    origin: `http://${loopback}:${(server.address() as AddressInfo).port}`,
    received,
    failOnce: () => {
      failing = true;
    },
    onReceived: () => undefined,
  };
  return backend;
}

function head({ method = '', url = '', headers }: IncomingMessage) {
  const header = (name: string) => String(headers[name] ?? '');
  return { method, path: url, webhookId: header('webhook-id'), attempt: header('event-pusher-attempt') };
}

/** The fields of a form, decoded as by a web framework. */
export function decode(form: string): { readonly from: string; readonly host: string; readonly to: string; readonly text: string } {
  const fields = new URLSearchParams(form);
  const field = (name: string) => fields.get(name) ?? '';
  return { from: field('author'), host: field('server'), to: field('receiver'), text: field('message') };
}
