import { Client, type Dispatcher } from 'undici';
import { type Cost, measureCost } from './cost.ts';

const headers = ['content-type', 'application/x-www-form-urlencoded'];
const body = 'author=user1&server=localhost&receiver=peer1&message=12345.678+and+some+words%2C+as+people+write+them';

/** The reference: `Client.dispatch` of undici with a handler that does nothing, on one connection per worker. */
export async function measureBareUndici({
  origin,
  workers,
  requests,
}: {
  readonly origin: string;
  readonly workers: number;
  readonly requests: number;
}): Promise<Cost> {
  const clients = Array.from({ length: workers }, () => new Client(origin, { pipelining: 1 }));
  const drive = (count: number) => new Promise<void>((resolve, reject) => send(clients, { count, resolve, reject }));
  await drive(requests / 5);
  const cost = await measureCost(requests, () => drive(requests));
  await Promise.all(clients.map((client) => client.destroy()));
  return cost;
}

interface Drive {
  readonly count: number;
  resolve(): void;
  reject(error: Error): void;
}

/** Each client sends its next request after the response to the last, up to the total. */
function send(clients: readonly Client[], { count, resolve, reject }: Drive): void {
  let begun = 0;
  let done = 0;

  function next(client: Client): void {
    if (begun >= count) return;
    begun += 1;
    client.dispatch({ method: 'POST', path: '/webservice/notifications', headers, body }, handlerOf(client));
  }

  function handlerOf(client: Client): Dispatcher.DispatchHandler {
    return {
      onRequestStart: () => undefined,
      onResponseStart: () => undefined,
      onResponseData: () => undefined,
      onResponseEnd: () => {
        done += 1;
        if (done >= count) resolve();
        else next(client);
      },
      onResponseError: (_controller, error) => reject(error),
    };
  }

  for (const client of clients) next(client);
}
