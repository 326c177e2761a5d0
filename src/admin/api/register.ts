import type { FastifyInstance, FastifyReply } from 'fastify';
import { readJson } from '../../kit/json.ts';
import { type ApiAccess, refuseForeignPages } from '../access.ts';
import { refuse } from '../refusals.ts';
import { deadLetterRoutes } from './dead-letters.ts';
import { eraseRoutes } from './erase.ts';
import { eventRoutes } from './events.ts';
import { apiRoot, openApiDocument } from './openapi.ts';
import { orphanRoutes, poolRoutes } from './pools.ts';
import { type ApiDependencies, type Caller, createParameterReader, type Route } from './route.ts';
import { sendTestRoutes } from './send-test.ts';
import { statusRoutes } from './status.ts';
import { tailRoutes } from './tail.ts';
import { withheldRoutes } from './withheld.ts';

/** All operations on a running service, and all that the admin listener can change. */
export function apiRoutes(dependencies: ApiDependencies): readonly Route[] {
  const groups = [
    statusRoutes,
    poolRoutes,
    eventRoutes,
    deadLetterRoutes,
    orphanRoutes,
    sendTestRoutes,
    withheldRoutes,
    eraseRoutes,
    tailRoutes,
  ];
  return groups.flatMap((routesOf) => routesOf(dependencies));
}

interface ApiOptions extends ApiAccess {
  readonly routes: readonly Route[];
  readonly version: string;
}

/** Serves the routes and their document. */
export function registerApi(app: FastifyInstance, { routes, version, ...access }: ApiOptions): void {
  acceptJsonOnly(app);
  for (const route of routes) serve(app, route, access);
  const document = openApiDocument(routes, version);
  app.get(`${apiRoot}/openapi.json`, { onRequest: access.guard }, async () => document);
}

/** A browser lets a foreign page post a form without a CORS preflight, so only JSON is accepted. */
function acceptJsonOnly(app: FastifyInstance): void {
  const parse = app.getDefaultJsonParser('error', 'error');
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('application/json', { parseAs: 'string' }, (request, body, done) => {
    if (body === '') done(null, undefined);
    else if (readJson(String(body)).kind === 'too-deep') done(tooDeep);
    else void parse(request, String(body), done);
  });
}

const tooDeep = Object.assign(new Error('the JSON is nested too deeply'), { statusCode: 400 });

function serve(app: FastifyInstance, route: Route, access: ApiAccess): void {
  const { method, path } = route;
  const read = createParameterReader(route);

  app.route({
    method,
    url: apiRoot + path.replace(/\{(\w+)\}/g, ':$1'),
    onRequest: [access.guard, refuseForeignPages(access)],
    handler: async (request, reply) => {
      const parameters = read(request);
      if (parameters.kind === 'bad-request') return refuseBadRequest(reply, parameters.message);
      const caller = access.callerOf(request);
      if (method === 'POST' && !caller.mayOperate) return refuseReader(reply, caller);
      const answer = await route.answer(parameters.given, caller);
      return answer.kind === 'bad-request' ? refuseBadRequest(reply, answer.message) : answer.value;
    },
  });
}

function refuseReader(reply: FastifyReply, { name }: Caller): FastifyReply {
  const message =
    name === ''
      ? 'changes require a token of [admin]; named tokens need the role operate'
      : `the token ${name} has the role read: it may not change anything`;
  return refuse(reply, { status: 403, code: 'READ_ONLY', message });
}

function refuseBadRequest(reply: FastifyReply, message: string): FastifyReply {
  return refuse(reply, { status: 400, code: 'BAD_REQUEST', message });
}
