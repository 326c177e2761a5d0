import { type Admission, startAdminRig } from '../../support/admin-rig.ts';
import { ask } from '../ask.ts';

/** An answer of the API: its status and what its JSON says. */
export interface ApiAnswer {
  readonly status: number;
  // biome-ignore lint/suspicious/noExplicitAny: what an answer must be is what the tests say
  readonly body: any;
}

/** The admin listener, and short words for asking its API. */
export async function startApi(admission: Admission = {}) {
  const rig = await startAdminRig(admission);

  async function send(
    method: string,
    path: string,
    { body, headers = {} }: { body?: string; headers?: Record<string, string> },
  ): Promise<ApiAnswer> {
    const answer = await ask(rig.port, { method, path: `/api/v1${path}`, headers, ...(body === undefined ? {} : { body }) });
    return { status: answer.status, body: JSON.parse(answer.body) };
  }

  return {
    ...rig,
    send,
    get: (path: string, headers: Record<string, string> = {}) => send('GET', path, { headers }),
    post: (path: string, asked?: unknown, headers: Record<string, string> = {}) =>
      asked === undefined
        ? send('POST', path, { headers })
        : send('POST', path, { body: JSON.stringify(asked), headers: { 'content-type': 'application/json', ...headers } }),
  };
}

/** The ids of a list that was answered. */
export function idsIn({ body }: ApiAnswer): readonly string[] {
  return body.map(({ id }: { readonly id: string }) => id);
}
