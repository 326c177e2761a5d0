import { type Admission, startAdminRig } from '../../support/admin-rig.ts';
import { ask } from '../ask.ts';

/** A response of the API: its status and its JSON. */
export interface ApiAnswer {
  readonly status: number;
  // biome-ignore lint/suspicious/noExplicitAny: the tests check the shape of the response
  readonly body: any;
}

/** The admin listener, with short functions for requests to its API. */
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

/** The ids of a list in a response. */
export function idsIn({ body }: ApiAnswer): readonly string[] {
  return body.map(({ id }: { readonly id: string }) => id);
}
