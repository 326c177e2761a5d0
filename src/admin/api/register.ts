import type { FastifyInstance, FastifyReply, FastifyRequest, onRequestAsyncHookHandler } from 'fastify';
import { readJson } from '../../kit/json.ts';
import { refuse } from '../refusals.ts';
import { apiRoot, openApiDocument } from './openapi.ts';
import { createAskedReader } from './read-asked.ts';
import type { Route } from './route.ts';

export interface ApiAccess {
  /** Lets through who may use the API at all. */
  readonly guard: onRequestAsyncHookHandler;
  /** Whether a request shows the admin token. */
  bearsToken(request: FastifyRequest): boolean;
  /** Whether a request may see what people wrote. */
  mayReadContent(request: FastifyRequest): boolean;
}

export interface ApiOptions extends ApiAccess {
  readonly routes: readonly Route[];
  readonly version: string;
}

/** Serves the routes and their document. */
export function registerApi(app: FastifyInstance, { routes, version, ...access }: ApiOptions): void {
  readJsonAlone(app);
  for (const route of routes) serve(app, route, access);
  const document = openApiDocument(routes, version);
  app.get(`${apiRoot}/openapi.json`, { onRequest: access.guard }, async () => document);
}

const tooDeep = Object.assign(new Error('the JSON is nested too deep'), { statusCode: 400 });

/** A form is the one thing that a foreign page may post without asking the browser first, so JSON is all that is read. */
function readJsonAlone(app: FastifyInstance): void {
  const parse = app.getDefaultJsonParser('error', 'error');
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('application/json', { parseAs: 'string' }, (request, body, done) => {
    if (body === '') done(null, undefined);
    else if (readJson(String(body)).kind === 'too-deep') done(tooDeep);
    else void parse(request, String(body), done);
  });
}

function serve(app: FastifyInstance, route: Route, access: ApiAccess): void {
  const { method, path } = route;
  const read = createAskedReader(route);
  const own = method === 'POST' ? [refuseForeignPages(access)] : [];

  app.route({
    method,
    url: apiRoot + path.replace(/\{(\w+)\}/g, ':$1'),
    onRequest: [access.guard, ...own],
    handler: async (request, reply) => {
      const asked = read(request);
      if (asked.kind === 'misasked') return misasked(reply, asked.message);
      const caller = { mayReadContent: access.mayReadContent(request), address: request.ip };
      const answer = await route.answer(asked.asked, caller);
      return answer.kind === 'misasked' ? misasked(reply, answer.message) : answer.value;
    },
  });
}

function misasked(reply: FastifyReply, message: string): FastifyReply {
  return refuse(reply, { status: 400, code: 'BAD_REQUEST', message });
}

/**
 * A request without a body needs no leave of a browser either, but says which page sent it (Origin, RFC 6454 §7). Ours
 * is the one that came from this listener; who shows a token is no page that somebody was lured to.
 */
function refuseForeignPages({ bearsToken }: ApiAccess): onRequestAsyncHookHandler {
  return async (request, reply) => {
    const { origin, host } = request.headers;
    if (origin === undefined || origin.replace(/^https?:\/\//, '') === host || bearsToken(request)) return undefined;
    return refuse(reply, { status: 403, code: 'FOREIGN_PAGE', message: `a page of ${origin} may not change anything here` });
  };
}
