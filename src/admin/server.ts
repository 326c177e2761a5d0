import Fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest, type onRequestAsyncHookHandler } from 'fastify';
import type { ListenConfig } from '../config/config.ts';
import type { Clock, Timers } from '../kit/clock.ts';
import { ServiceError } from '../kit/errors.ts';
import { createHttpServer, listenProblem } from '../kit/http-listener.ts';
import { waitsToSend } from '../kit/http-message.ts';
import { createLifecycle, type Lifecycle } from '../kit/lifecycle.ts';
import { packageVersion } from '../kit/process.ts';
import { bearerRequired, hasBearerToken } from '../kit/request-guard.ts';
import type { Secret } from '../kit/secret.ts';
import type { Health } from '../telemetry/health.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import type { ApiDependencies } from './api/dependencies.ts';
import { type ApiAccess, registerApi } from './api/register.ts';
import { apiRoutes } from './api/routes.ts';
import { isKnownHost, isLoopback } from './known-host.ts';
import { refusalOf, refuse, refuseMalformed, refuseRequest } from './refusals.ts';
import { type RouteIndex, routeIndex } from './route-index.ts';

export interface AdminOptions {
  /** The part of the configuration that is the listener's. Port 0 takes a free one. */
  readonly config: {
    readonly admin: ListenConfig;
    readonly metrics: { readonly token: Secret | undefined };
  };
  readonly metrics: Metrics;
  readonly health: Health;
  readonly api: ApiDependencies;
  readonly clock: Pick<Clock, 'monotonic'>;
  readonly timers: Timers;
}

export interface Admin extends Lifecycle {
  /** Where it listens; the port is the configured one until it has started. */
  readonly address: { readonly host: string; readonly port: number };
}

/** Limits for slow clients, ms. */
const limits = { headersTimeoutMs: 5000, requestTimeoutMs: 10_000, keepAliveMs: 10_000 };

const maxBodyBytes = 1024 * 1024;

/** A name in a path may be so long, in characters. */
const longestParameter = 500;

/** Metrics, health and the API over HTTP. Starting throws ADMIN_LISTEN_FAILED. */
export function createAdmin(options: AdminOptions): Admin {
  const { host, port, maxConnections } = options.config.admin;
  const { clock, timers } = options;
  const { events } = options.api;
  const app = Fastify({
    bodyLimit: maxBodyBytes,
    clientErrorHandler: (error, socket) => refuseMalformed(socket, error),
    forceCloseConnections: true,
    frameworkErrors: (error, _, reply) => void refuse(reply, { status: 400, code: 'BAD_REQUEST', message: error.message }),
    routerOptions: { maxParamLength: longestParameter },
    serverFactory: (handle) =>
      createHttpServer({
        limits: { ...limits, maxConnections },
        serve: handle,
        refuse: refuseRequest,
        onRefused: (reason, count) => events.emit('connection.refused', { listener: 'admin', reason, count }),
        onFault: (error) => events.emit('request.failed', { listener: 'admin', error }),
        clock,
        timers,
      }),
  });
  guard(app, options);
  serve(app, options);
  registerApi(app, { ...accessOf(options), routes: apiRoutes(options.api), version: packageVersion() });

  const start = async () => {
    try {
      await app.listen({ host, port });
    } catch (cause) {
      throw new ServiceError('ADMIN_LISTEN_FAILED', `cannot listen on ${host}:${port}: ${listenProblem(cause, '[admin] listen')}`, {
        cause,
      });
    }
  };
  return {
    get address() {
      const [bound] = app.addresses();
      return { host, port: typeof bound === 'object' ? bound.port : port };
    },
    ...createLifecycle({ start, stop: () => app.close() }),
  };
}

/** What holds for every request, whatever it asks for. */
function guard(app: FastifyInstance, { config: { admin, metrics }, api }: AdminOptions): void {
  const tokens = [admin.token, metrics.token].filter((token) => token !== undefined);
  const known = routeIndex(app);

  app.addHook('onRequest', async (request, reply) => {
    reply.headers({ 'cache-control': 'no-store', 'x-content-type-options': 'nosniff' });
    const { host, authorization } = request.headers;
    const isTrusted = isKnownHost(host, admin.host) || tokens.some((token) => hasBearerToken(authorization, token));
    if (!isTrusted) {
      const message = `this listener does not answer to the name "${host ?? ''}"; ask for its IP address, or show a token`;
      return refuse(reply, { status: 421, code: 'UNKNOWN_HOST', message });
    }
    if (request.is404) return refuseUnknown(known, request, reply);
    return undefined;
  });
  app.addHook('preSerialization', async (_request, _reply, answer) => api.redactor.value(answer));
  app.addHook('preParsing', async ({ raw, headers }, reply, body) => {
    if (waitsToSend(raw) && Number(headers['content-length'] ?? 0) <= maxBodyBytes) reply.raw.writeContinue();
    return body;
  });
  app.addHook('onSend', async ({ raw }, reply, payload) => {
    if (waitsToSend(raw)) reply.header('connection', 'close');
    return payload;
  });
  app.setErrorHandler((error, _, reply) => refuse(reply, refusalOf(error)));
}

function refuseUnknown(known: RouteIndex, { method, url }: FastifyRequest, reply: FastifyReply): FastifyReply {
  const path = url.split('?', 1)[0] ?? '';
  const allowed = known.methodsAt(path);
  if (allowed.length === 0) return refuse(reply, { status: 404, code: 'NOT_FOUND', message: `there is nothing at ${path}` });
  reply.header('allow', allowed.join(', '));
  const message = `${path} answers to ${allowed.join(', ')}: ${method} is not allowed`;
  return refuse(reply, { status: 405, code: 'METHOD_NOT_ALLOWED', message });
}

function serve(app: FastifyInstance, { config: { admin, metrics: guarded }, metrics, health }: AdminOptions): void {
  const adminOnly = requireToken(isLoopback(admin.host) ? undefined : admin.token);

  app.get('/', { onRequest: adminOnly }, async () => ({
    service: 'xmpp-event-pusher',
    addresses: {
      '/api/v1/openapi.json': 'what can be asked and done here',
      '/healthz': 'whether it is alive',
      '/metrics': 'for Prometheus',
      '/readyz': 'whether it is ready, and what is not',
    },
  }));
  app.get('/healthz', async () => ({ status: 'ok' }));
  app.get('/readyz', async (_, reply) => {
    const checks = health.checks();
    const ready = checks.every((check) => check.ready);
    return reply.code(ready ? 200 : 503).send({ status: ready ? 'ready' : 'not ready', checks });
  });
  app.get('/metrics', { onRequest: requireToken(guarded.token) }, async (_, reply) => {
    const { contentType, text } = await metrics.render();
    return reply.type(contentType).send(text);
  });
}

/** Off loopback the API is for who bears the token; what people wrote is so everywhere, where there is a token. */
function accessOf({ config: { admin } }: AdminOptions): ApiAccess {
  const bearsToken = ({ headers }: FastifyRequest) => admin.token !== undefined && hasBearerToken(headers.authorization, admin.token);
  return {
    guard: requireToken(isLoopback(admin.host) ? undefined : admin.token),
    bearsToken,
    mayReadContent: (request) => (admin.token === undefined ? isLoopback(admin.host) : bearsToken(request)),
  };
}

/** Lets through who bears the token; everybody where there is none. */
function requireToken(token: Secret | undefined): onRequestAsyncHookHandler {
  return async (request, reply) => {
    if (token === undefined || hasBearerToken(request.headers.authorization, token)) return undefined;
    const { status, headers, text } = bearerRequired;
    return refuse(reply.headers(headers), { status, code: 'UNAUTHORIZED', message: text });
  };
}
