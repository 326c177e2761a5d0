import { z } from 'zod';
import { reachableAddress } from './admin-client.ts';

/** The result of one connection. */
export interface Probe {
  /** `attachment chat at xmpp://127.0.0.1:5347`, `pool http_pool at http://127.0.0.1:8000` */
  readonly name: string;
  readonly ok: boolean;
  readonly detail: string;
}

const readiness = z.object({ checks: z.array(z.object({ name: z.string(), ready: z.boolean(), reason: z.string() })) });

/** A service on this machine answers within this time, ms. */
const answerTimeoutMs = 2000;

/** The states of the attachments of the service that runs at this address; undefined if none does. */
export async function readinessOf(listen: { readonly host: string; readonly port: number }): Promise<readonly Probe[] | undefined> {
  if (listen.port === 0) return undefined;
  const answer = await fetch(`${reachableAddress(listen)}/readyz`, { redirect: 'error', signal: AbortSignal.timeout(answerTimeoutMs) })
    .then((response) => response.json())
    .catch(() => undefined); // nothing answers, or another program
  const read = readiness.safeParse(answer);
  if (!read.success) return undefined;
  const attachments = read.data.checks.filter(({ name }) => name.startsWith('attachment ') || name === 'service');
  return attachments.map(({ name, ready, reason }) => ({
    name: `${name}, of the running service`,
    ok: ready,
    detail: ready ? 'attached' : reason,
  }));
}
