/** Entry of a pool thread, and its composition root: chooses the HTTP client, and adds headers, sessions and ordered requests. */
import type { MessagePort } from 'node:worker_threads';
import { systemClock } from '../src/kit/clock.ts';
import type { Resolve } from '../src/kit/dial-tcp.ts';
import { createDial } from './connection.ts';
import type { PoolThreadSettings, ToThread } from './contract.ts';
import type { NewWorker } from './http-client.ts';
import { createClient, HttpCarrier, type OpenCarrier, serve, undiciWorkers } from './serve.ts';
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
  return async (context) => {
    const { settings } = context;
    if (settings.origin === '') {
      const { OrderCarrier } = await import('./order-carrier.ts');
      return new OrderCarrier(context, resolve);
    }

    const dial = createDial(settings, resolve);
    const parts = { newWorker: await workersOf(settings), dial: settings.client === 'undici' ? withShortPaths(dial) : dial };
    if (settings.handlers.length === 0) return new HttpCarrier(context, createClient(context, parts));
    const { openSessionCarrier } = await import('./session/session-carrier.ts');
    return openSessionCarrier(context, { ...parts, importModule });
  };
}

async function workersOf(settings: PoolThreadSettings): Promise<NewWorker> {
  const newWorker = await clientOf(settings);
  if (settings.signing === undefined && settings.headers.length === 0) return newWorker;
  const { completingWorkers } = await import('./attempt-headers.ts');
  return completingWorkers(newWorker, settings);
}

/** Loads the pool's HTTP client and no other: each takes some 20 MB of every thread. */
async function clientOf({ client, origin }: PoolThreadSettings): Promise<NewWorker> {
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
