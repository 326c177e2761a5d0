/** The addresses that a start of the service needs. */
import { createServer } from 'node:net';
import type { Config } from '../config/service-config.ts';
import { type ErrorCode, ServiceError } from '../kit/errors.ts';
import { listenProblem } from '../kit/http-listener.ts';
import { createDeferred } from '../kit/lifecycle.ts';

interface Address {
  /** Code of a start that cannot open the listener. */
  readonly code: ErrorCode;
  readonly listen: { readonly host: string; readonly port: number };
  /** The setting that holds it. */
  readonly setting: string;
}

/**
 * Throws, with the code of the first, if this machine does not have the address of a listener, or the user may not open its port. A port in
 * use is left to the start: the service may be running.
 */
export async function requireAddresses(config: Config): Promise<void> {
  const problems = await Promise.all(addressesOf(config).map(problemOf));
  const found = problems.filter((problem) => problem !== undefined);
  const [first] = found;
  if (first !== undefined) throw new ServiceError(first.code, found.map(({ text }) => text).join('\n'));
}

function addressesOf({ admin, gate, attachments }: Config): readonly Address[] {
  const sources = attachments.flatMap((attachment): readonly Address[] => {
    const shared = { code: 'ATTACH_LISTEN_FAILED', setting: `[attach.${attachment.name}] listen` } as const;
    if (attachment.type === 'http') return [{ ...shared, listen: attachment.listen }];
    return attachment.type === 'exits' ? attachment.listeners.map((listen) => ({ ...shared, listen })) : [];
  });
  const own: readonly Address[] = [
    { code: 'ADMIN_LISTEN_FAILED', listen: admin, setting: '[admin] listen' },
    ...(gate ? [{ code: 'GATE_LISTEN_FAILED', listen: gate.listen, setting: '[gate] listen' } as const] : []),
  ];
  return [...own, ...sources];
}

interface Problem {
  readonly code: ErrorCode;
  readonly text: string;
}

async function problemOf({ code, listen: { host, port }, setting }: Address): Promise<Problem | undefined> {
  const tried = createDeferred<Problem | undefined>();
  const server = createServer()
    .once('error', ({ message }) => {
      const isInUse = message.includes('EADDRINUSE');
      const text = `cannot listen on ${host}:${port}: ${listenProblem(message, setting)}`;
      tried.resolve(isInUse ? undefined : { code, text });
    })
    .listen({ host, port }, () => server.close(() => tried.resolve(undefined)));
  return tried.promise;
}
