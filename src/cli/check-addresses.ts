/** The addresses that a start of the service needs. */
import { createServer } from 'node:net';
import type { Config } from '../config/service-config.ts';
import { ServiceError } from '../kit/errors.ts';
import { listenProblem } from '../kit/http-listener.ts';
import { createDeferred } from '../kit/lifecycle.ts';

interface Address {
  readonly listen: { readonly host: string; readonly port: number };
  /** The setting that holds it. */
  readonly setting: string;
}

/**
 * Throws if this machine does not have the address of a listener, or the user may not open its port. A port in use is left to the start:
 * the service may be running.
 */
export async function requireAddresses(config: Config): Promise<void> {
  const problems = await Promise.all(addressesOf(config).map(problemOf));
  const found = problems.filter((problem) => problem !== undefined);
  if (found.length > 0) throw new ServiceError('ADMIN_LISTEN_FAILED', found.join('\n'));
}

function addressesOf({ admin, gate, attachments }: Config): readonly Address[] {
  const sources = attachments.flatMap((attachment): readonly Address[] => {
    const setting = `[attach.${attachment.name}] listen`;
    if (attachment.type === 'http') return [{ listen: attachment.listen, setting }];
    return attachment.type === 'exits' ? attachment.listeners.map((listen) => ({ listen, setting })) : [];
  });
  return [{ listen: admin, setting: '[admin] listen' }, ...(gate ? [{ listen: gate.listen, setting: '[gate] listen' }] : []), ...sources];
}

async function problemOf({ listen: { host, port }, setting }: Address): Promise<string | undefined> {
  const tried = createDeferred<string | undefined>();
  const server = createServer()
    .once('error', ({ message }) => {
      const isInUse = message.includes('EADDRINUSE');
      tried.resolve(isInUse ? undefined : `cannot listen on ${host}:${port}: ${listenProblem(message, setting)}`);
    })
    .listen({ host, port }, () => server.close(() => tried.resolve(undefined)));
  return tried.promise;
}
