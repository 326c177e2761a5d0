/** Entry of a pool thread, and its composition root: chooses the HTTP client, and adds headers, sessions and ordered requests. */
import type { MessagePort } from 'node:worker_threads';
import { systemClock } from '../src/kit/clock.ts';
import type { Resolve } from '../src/kit/dial-tcp.ts';
import type { Authorizer } from './authorize.ts';
import { createDial } from './connection.ts';
import type { PoolThreadSettings, ToThread } from './contract.ts';
import { connectThrough } from './egress.ts';
import type { NewWorker } from './http-client.ts';
import { type CarrierContext, createClient, HttpCarrier, type OpenCarrier, serve, undiciWorkers } from './serve.ts';
import type { ImportModule } from './session/handler-module.ts';
import { withShortPaths } from './short-paths.ts';

/** The only task of the thread: serves the pools that are announced on the port. It ends with the thread, or when a pool cannot be served. */
export default function deliver({ port: pools }: { readonly port: MessagePort }): Promise<never> {
  return new Promise((_resolve, reject) => {
    pools.on('message', ({ port, settings }: ToThread) => {
      serve({ port, settings, clock: systemClock, openCarrier: carrierOf() }).catch(reject);
    });
  });
}

interface ThreadDependencies {
  /** Imports callback modules; default: Node's import. */
  readonly importModule?: ImportModule | undefined;
  /** Resolves host names; default: the system's resolver. */
  readonly resolve?: Resolve | undefined;
}

/** The carrier for the settings of a pool; each part is loaded only where it is used. Throws CALLBACK_LOAD_FAILED. */
export function carrierOf({ importModule, resolve }: ThreadDependencies = {}): OpenCarrier {
  return async (given) => {
    const { settings } = given;
    if (settings.origin === '') {
      const { OrderCarrier } = await import('./order-carrier.ts');
      return new OrderCarrier(given, resolve);
    }

    const authorizer = await authorizerOf(given, resolve);
    const context = authorizer?.watch(given) ?? given;
    const dial = createDial(settings, resolve, connectThrough(settings.egress, resolve));
    const parts = { newWorker: await workersOf(settings, authorizer), dial: settings.client === 'undici' ? withShortPaths(dial) : dial };
    if (settings.handlers.length === 0) return new HttpCarrier(context, createClient(context, parts));
    const { openSessionCarrier } = await import('./session/session-carrier.ts');
    return openSessionCarrier(context, { ...parts, importModule });
  };
}

async function authorizerOf(context: CarrierContext, resolve: Resolve | undefined): Promise<Authorizer | undefined> {
  const { settings } = context;
  if (settings.tokens === undefined) return undefined;
  const { Authorizer } = await import('./authorize.ts');
  const { TokenEndpoint } = await import('./token-endpoint.ts');
  const workersFor = (origin: string): Promise<NewWorker> => clientOf({ client: settings.client, origin });
  return new Authorizer(new TokenEndpoint(settings.tokens, settings, { context, resolve, workersFor }), context);
}

async function workersOf(settings: PoolThreadSettings, authorizer: Authorizer | undefined): Promise<NewWorker> {
  const plain = await clientOf(settings);
  const newWorker = authorizer?.workers(plain) ?? plain;
  if (settings.signing === undefined && settings.headers.length === 0) return newWorker;
  const { completingWorkers } = await import('./attempt-headers.ts');
  return completingWorkers(newWorker, settings);
}

/** Loads the pool's HTTP client and no other: each takes some 20 MB of every thread. */
async function clientOf({ client, origin }: Pick<PoolThreadSettings, 'client' | 'origin'>): Promise<NewWorker> {
  switch (client) {
    case 'got': {
      const { gotWorkers } = await import('./got-worker.ts');
      return gotWorkers(origin);
    }
    case 'undici':
      return undiciWorkers(origin);
    default:
      return client satisfies never;
  }
}
