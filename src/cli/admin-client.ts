import type { z } from 'zod';
import { apiRoot } from '../admin/api/openapi.ts';
import { refusalShape } from '../admin/api/values.ts';
import { locateConfig, readEnvironment } from '../config/environment.ts';
import { loadAdmin } from '../config/load.ts';
import { messageOf, ServiceError, toError } from '../kit/errors.ts';
import type { Secret } from '../kit/secret.ts';
import { printable } from './layout.ts';
import type { OptionName, OptionValues } from './options.ts';

/** What every command that asks a running service takes. */
export const serviceOptions = ['config', 'json', 'token', 'url'] as const satisfies readonly OptionName[];

/**
 * The API of a running service. Throws ADMIN_UNREACHABLE when nobody answers, and ADMIN_REFUSED with what the service
 * says when it does not do what was asked; USAGE when it says that the question makes no sense.
 */
export interface AdminClient {
  get<T>(path: string, answers: z.ZodType<T>, query?: Query): Promise<T>;
  post<T>(path: string, answers: z.ZodType<T>, body?: object): Promise<T>;
}

/** Absent values are left out. */
export type Query = Readonly<Record<string, number | string | boolean | undefined>>;

/** Finds the service by --url, or by `[admin]` of the configuration file. Throws USAGE and what the file has wrong. */
export async function findService(values: OptionValues): Promise<AdminClient> {
  if (values.url !== undefined) return createAdminClient(readUrl(values.url), values.token);
  const { host, port, token } = await loadAdmin(locateConfig(values.config, readEnvironment()), readEnvironment());
  if (port === 0)
    throw new ServiceError('USAGE', '[admin] listen takes any free port (0), so only its log knows where the service is: give --url');
  return createAdminClient(new URL(`http://${reachable(host)}:${port}`), values.token ?? reveal(token));
}

function readUrl(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  const isHttp = url?.protocol === 'http:' || url?.protocol === 'https:';
  if (isHttp && url.username + url.password !== '') throw new ServiceError('USAGE', '--url takes no user or password; give --token');
  if (isHttp) return url;
  throw new ServiceError('USAGE', `--url: received ${JSON.stringify(text)}, expected a URL such as "http://127.0.0.1:9464"`);
}

/** Who listens everywhere is reached here. */
function reachable(host: string): string {
  if (host === '0.0.0.0') return '127.0.0.1';
  if (host === '::') return '[::1]';
  return host.includes(':') ? `[${host}]` : host;
}

function reveal(token: Secret | undefined): string | undefined {
  return token?.reveal();
}

export function createAdminClient(base: URL, token: string | undefined): AdminClient {
  const root = base.href.replace(/\/$/, '') + apiRoot;
  const authorization: Readonly<Record<string, string>> = token === undefined ? {} : { authorization: `Bearer ${token}` };

  async function ask<T>(path: string, answers: z.ZodType<T>, request: RequestInit = {}): Promise<T> {
    const headers = { ...authorization, ...(request.body === undefined ? {} : { 'content-type': 'application/json' }) };
    const answer = await fetch(root + path, { ...request, headers, redirect: 'error' }).catch((thrown) => {
      throw unreachable(base, thrown);
    });
    const told: unknown = await answer.json().catch(() => undefined);
    if (!answer.ok) throw refused(base, answer.status, told);
    const read = answers.safeParse(told);
    if (read.success) return read.data;
    throw new ServiceError('ADMIN_REFUSED', `what answers at ${base.origin} is no event-pusher of this version`, { cause: read.error });
  }

  return {
    get: (path, answers, query = {}) => ask(path + queryString(query), answers),
    post: (path, answers, body) => ask(path, answers, { method: 'POST', ...(body === undefined ? {} : { body: JSON.stringify(body) }) }),
  };
}

function queryString(query: Query): string {
  const given = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) if (value !== undefined) given.append(name, String(value));
  return given.size === 0 ? '' : `?${given}`;
}

function unreachable(base: URL, thrown: unknown): ServiceError {
  const error = toError(thrown);
  const reason = messageOf(error.cause instanceof Error ? error.cause : error);
  const message = `no service answers at ${base.origin} (${reason}): start it with "event-pusher run", or say where it is with --config or --url`;
  return new ServiceError('ADMIN_UNREACHABLE', message, { cause: error });
}

function refused(base: URL, status: number, told: unknown): ServiceError {
  const read = refusalShape.safeParse(told);
  if (!read.success) return new ServiceError('ADMIN_REFUSED', `what answers at ${base.origin} is no event-pusher: it says ${status}`);
  if (read.data.code === 'BAD_REQUEST') return new ServiceError('USAGE', printable(read.data.message));
  const hint = tokenCodes.includes(read.data.code) ? '; give it with --token, or a FILE that has it' : '';
  return new ServiceError('ADMIN_REFUSED', printable(read.data.message) + hint);
}

const tokenCodes = ['CONTENT_HIDDEN', 'UNAUTHORIZED'];
