/** The dashboard: a page without data at `/`, its files, and the sign-in of a browser. The page gets its data from the API. */
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { z } from 'zod';
import { type ApiAccess, refuseForeignPages } from './access.ts';
import { refuse } from './refusals.ts';

/** `dist/dashboard`, into which the build copies the page and its libraries. */
const folder = fileURLToPath(new URL('../../dashboard/', import.meta.url));

const types: Readonly<Record<string, string>> = {
  css: 'text/css; charset=utf-8',
  html: 'text/html; charset=utf-8',
  js: 'text/javascript; charset=utf-8',
  svg: 'image/svg+xml',
};

/** Nothing but the page's own files: no inline script or style, no other origin, no frame around it, no form that leaves it. */
const contentSecurityPolicy = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self'",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
  "require-trusted-types-for 'script'",
].join('; ');

const pageHeaders = {
  'content-security-policy': contentSecurityPolicy,
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
  'referrer-policy': 'no-referrer',
  vary: 'accept',
};

/** Whether a request is for the page itself, which has no data: it is answered under any name, so that its user can sign in. */
export function isForPage({ url }: Pick<FastifyRequest, 'url'>): boolean {
  return url === '/' || url === '/session' || url.startsWith('/dashboard/');
}

/** Whether a request to `/` is made by a browser that shows pages. */
export function wantsPage({ headers }: Pick<FastifyRequest, 'headers'>): boolean {
  return headers.accept?.includes('text/html') === true;
}

export class Dashboard {
  readonly #files = new Map<string, Promise<Buffer | undefined>>();

  async sendPage(reply: FastifyReply): Promise<FastifyReply> {
    return await this.#send('index.html', reply);
  }

  /** Adds the routes of the page's files and of the sign-in. */
  register(app: FastifyInstance, access: ApiAccess): void {
    app.get('/dashboard/:file', (request, reply) => this.#send(nameIn(request, ''), reply));
    app.get('/dashboard/vendor/:file', (request, reply) => this.#send(nameIn(request, 'vendor/'), reply));
    registerSignIn(app, access);
  }

  async #send(name: string, reply: FastifyReply): Promise<FastifyReply> {
    const content = await this.#file(name);
    if (content === undefined) return refuse(reply, { status: 404, code: 'NOT_FOUND', message: 'the dashboard has no such file' });
    const type = types[name.slice(name.lastIndexOf('.') + 1)] ?? 'application/octet-stream';
    return reply.headers(pageHeaders).type(type).send(content);
  }

  /** The name has no dots but the last, so it cannot leave the folder. */
  #file(name: string): Promise<Buffer | undefined> {
    if (!/^(vendor\/)?[A-Za-z-]{1,40}\.(css|html|js|svg)$/.test(name)) return Promise.resolve(undefined);
    const known = this.#files.get(name) ?? readFile(folder + name).catch(() => undefined);
    this.#files.set(name, known);
    void known.then((content) => content === undefined && this.#files.delete(name));
    return known;
  }
}

function nameIn({ params }: FastifyRequest, place: string): string {
  return place + fileParameter.parse(params).file;
}

const fileParameter = z.object({ file: z.string() });

const signIn = z.object({ token: z.string().max(4096) });

function registerSignIn(app: FastifyInstance, access: ApiAccess): void {
  const { sessions } = access;
  const guards = { onRequest: refuseForeignPages(access) };

  app.post('/session', guards, async (request, reply) => {
    const read = signIn.safeParse(request.body);
    if (!read.success) return refuse(reply, { status: 400, code: 'BAD_REQUEST', message: 'the body must be { "token": "…" }' });
    if (sessions === undefined) return refuse(reply, { status: 404, code: 'NO_TOKEN', message: 'no [admin] token is configured' });
    const secure = request.headers.origin?.startsWith('https:') === true;
    const cookie = sessions.open(read.data.token, { secure });
    if (cookie === undefined) return refuse(reply, { status: 403, code: 'WRONG_TOKEN', message: 'this is not the token of [admin] token' });
    return reply.header('set-cookie', cookie).code(204).send();
  });

  app.delete('/session', guards, async (_, reply) => {
    if (sessions !== undefined) reply.header('set-cookie', sessions.close());
    return reply.code(204).send();
  });
}
