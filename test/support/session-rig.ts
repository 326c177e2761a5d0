import type { DeliveryCallbacks, HandlerOpts } from '../../pools/callbacks.ts';
import type { Job, JobMessage, PoolThreadSettings, PoolTls, SessionHandler } from '../../pools/contract.ts';
import type { ContextVariables } from '../../src/model/delivery.ts';
import { makeJob, makeThreadSettings } from './make-job.ts';
import { type ServedThread, serveHere } from './pool-thread.ts';

export const chatXml =
  "<message xmlns='jabber:client' type='chat' from='alice@localhost/a' to='bob@localhost' id='1'><body>Hi</body><x xmlns='urn:x'>y</x></message>";

export interface SessionRigOptions {
  readonly client?: PoolThreadSettings['client'];
  readonly origin: string;
  readonly settings?: Partial<Omit<PoolThreadSettings, 'tls'>>;
  readonly tls?: Partial<PoolTls>;
  /** Additional handlers on the same pool, by name. */
  readonly others?: Readonly<Record<string, DeliveryCallbacks>>;
}

/** A pool thread whose handler `notifications` has these callbacks at delivery; default: one worker. */
export function serveSessions(
  callbacks: DeliveryCallbacks,
  { client = 'undici', origin, settings, tls = {}, others = {} }: SessionRigOptions,
): ServedThread {
  const modules = new Map(Object.entries({ notifications: callbacks, ...others }).map(([name, own]) => [urlOf(name), own]));
  const handlers = ['notifications', ...Object.keys(others)].map(makeSessionHandler);
  return serveHere(makeThreadSettings({ client, origin, workers: 1, handlers, ...settings, tls }), async (url) => ({
    ...modules.get(url),
  }));
}

export function makeSessionHandler(name: string): SessionHandler {
  const opts: HandlerOpts = { name, poolName: 'http_pool', path: '/notifications', callbackModule: `${name}_module`, mark: '!' };
  return { name, url: urlOf(name), opts };
}

/** A job with a message for the callbacks of `notifications`. */
export function makeMessageJob({ message, ...job }: Partial<Omit<Job, 'message'>> & { readonly message?: Partial<JobMessage> } = {}): Job {
  const context: ContextVariables = {};
  return makeJob({ ...job, message: { handler: 'notifications', stanza: chatXml, context, ...message } });
}

function urlOf(name: string): string {
  return `file:///${name}.mjs`;
}
