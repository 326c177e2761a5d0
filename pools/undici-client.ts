import { createDial } from './dial.ts';
import type { HttpClient, HttpClientSurroundings } from './http-client.ts';
import { requestHeaders } from './request-headers.ts';
import { UndiciWorker } from './undici-worker.ts';

/**
 * One undici `Client` with one connection per worker, made when it is first needed. The worker that was used last is
 * used first, so that a quiet pool keeps few connections, and keeps them warm.
 */
export function createUndiciClient({ settings, clock }: HttpClientSurroundings): HttpClient {
  const { origin, userAgent } = settings;
  const dial = createDial(settings);
  const workers: UndiciWorker[] = [];
  const idle: UndiciWorker[] = [];

  function hire(): UndiciWorker {
    const worker = new UndiciWorker(origin, { dial, onIdle: (self) => idle.push(self) });
    workers.push(worker);
    return worker;
  }

  return {
    send: (exchange, free) => {
      const worker = idle.pop() ?? hire();
      worker.carry(exchange, { headers: requestHeaders(exchange.job, { userAgent, now: clock.now() }), free });
    },
    close: async () => {
      await Promise.all(workers.map((worker) => worker.close()));
    },
  };
}
