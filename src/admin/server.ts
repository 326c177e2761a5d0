import Fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify';
import type { ListenConfig } from '../config/service-config.ts';
import type { Clock, Timers } from '../kit/clock.ts';
import { ServiceError } from '../kit/errors.ts';
import { createHttpServer, listenProblem, originOf } from '../kit/http-listener.ts';
import { waitsToSend } from '../kit/http-message.ts';
import { createLifecycle, type Lifecycle } from '../kit/lifecycle.ts';
import { packageVersion } from '../kit/process.ts';
import { hasBearerToken } from '../kit/request-guard.ts';
import type { Secret } from '../kit/secret.ts';
import type { Health } from '../telemetry/health.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import { type ApiAccess, accessOf, isKnownHost, requireToken } from './access.ts';
import { apiRoutes, registerApi } from './api/register.ts';
import type { ApiDependencies } from './api/route.ts';
import { Dashboard, isForPage, wantsPage } from './dashboard.ts';
import { refusalOf, refuse, refuseMalformed, refuseRequest } from './refusals.ts';

export interface AdminOptions {
  /** The listener's part of the configuration. Port 0: a free port. */
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

/** Limits for slow clients, ms. */
const limits = { headersTimeoutMs: 5000, requestTimeoutMs: 10_000, keepAliveMs: 10_000 };

const maxBodyBytes = 1024 * 1024;

/** Maximum length of a name in a path, in characters. */
const maxNameLength = 500;

/** Metrics, health and the API over HTTP. Starting throws ADMIN_LISTEN_FAILED. */
export class AdminServer implements Lifecycle {
  readonly #options: AdminOptions;
  readonly #app: FastifyInstance;
  readonly #lifecycle: Lifecycle;

  constructor(options: AdminOptions) {
    const { config, api } = options;
    const access = accessOf(config.admin, api.clock);
    this.#options = options;
    this.#app = createApp(options);
    guard(this.#app, options, access);
    serve(this.#app, options, access);
    registerApi(this.#app, { ...access, routes: apiRoutes(api), version: packageVersion() });
    this.#lifecycle = createLifecycle({ start: () => this.#listen(), stop: () => this.#app.close() });
  }

  /** The address that it listens on; the port is the configured one until it has started. */
  get address(): { readonly host: string; readonly port: number } {
    const { host, port } = this.#options.config.admin;
    const [bound] = this.#app.addresses();
    return { host, port: typeof bound === 'object' ? bound.port : port };
  }

  get origin(): string {
    return originOf({ ...this.address, tls: this.#options.config.admin.tls });
  }

  start(): Promise<void> {
    return this.#lifecycle.start();
  }

  stop(): Promise<void> {
    return this.#lifecycle.stop();
  }

  async #listen(): Promise<void> {
    const { host, port } = this.#options.config.admin;
    try {
      await this.#app.listen({ host, port });
    } catch (cause) {
      const problem = listenProblem(cause, '[admin] listen');
      throw new ServiceError('ADMIN_LISTEN_FAILED', `cannot listen on ${host}:${port}: ${problem}`, { cause });
    }
  }
}

function createApp({ config, api: { events }, clock, timers }: AdminOptions): FastifyInstance {
  return Fastify({
    bodyLimit: maxBodyBytes,
    clientErrorHandler: (error, socket) => refuseMalformed(socket, error),
    forceCloseConnections: true,
    frameworkErrors: (error, _, reply) => void refuse(reply, { status: 400, code: 'BAD_REQUEST', message: error.message }),
    routerOptions: { maxParamLength: maxNameLength },
    serverFactory: (handle) =>
      createHttpServer({
        limits: { ...limits, maxConnections: config.admin.maxConnections },
        tls: config.admin.tls,
        serve: handle,
        refuse: refuseRequest,
        onRefused: (reason, count) => events.emit('connection.refused', { listener: 'admin', reason, count }),
        onFault: (error) => events.emit('request.failed', { listener: 'admin', error }),
        clock,
        timers,
      }),
  });
}

/** Rules for every request: Host header, unknown addresses, headers, redaction, `expect: 100-continue`, errors. */
function guard(app: FastifyInstance, { config: { admin, metrics }, api }: AdminOptions, access: ApiAccess): void {
  const methodsAt = indexRoutes(app);

  app.addHook('onRequest', async (request, reply) => {
    reply.headers({ 'cache-control': 'no-store', 'x-content-type-options': 'nosniff' });
    const { host, authorization } = request.headers;
    const isKnown = access.bearer(request) !== undefined || access.session(request) !== undefined;
    const isScraper = metrics.token !== undefined && hasBearerToken(authorization, metrics.token);
    const isTrusted = isKnownHost(host, admin.host) || isKnown || isScraper || (access.sessions !== undefined && isForPage(request));
    if (!isTrusted) {
      const message = `this listener is not named "${host ?? ''}"; use its IP address, or send a token`;
      return refuse(reply, { status: 421, code: 'UNKNOWN_HOST', message });
    }
    if (request.is404) return refuseUnknown(request, reply, methodsAt);
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

/** The methods of an address, for requests with another method. */
type MethodsAt = (path: string) => readonly string[];

/** Records every route that is registered from now on. */
function indexRoutes(app: FastifyInstance): MethodsAt {
  const routes: { readonly methods: readonly string[]; readonly path: RegExp }[] = [];
  app.addHook('onRoute', ({ method, url }) => {
    const pattern = url.replace(/[.]/g, '\\$&').replace(/:\w+/g, '[^/]+');
    routes.push({ methods: [method].flat(), path: new RegExp(`^${pattern}$`) });
  });
  return (path) => [...new Set(routes.filter((route) => route.path.test(path)).flatMap(({ methods }) => methods))];
}

function refuseUnknown({ method, url }: FastifyRequest, reply: FastifyReply, methodsAt: MethodsAt): FastifyReply {
  const path = url.split('?', 1)[0] ?? '';
  const allowed = methodsAt(path);
  if (allowed.length === 0) return refuse(reply, { status: 404, code: 'NOT_FOUND', message: `there is nothing at ${path}` });
  reply.header('allow', allowed.join(', '));
  const message = `${path} accepts ${allowed.join(', ')}: ${method} is not allowed`;
  return refuse(reply, { status: 405, code: 'METHOD_NOT_ALLOWED', message });
}

function serve(app: FastifyInstance, { config, metrics, health }: AdminOptions, access: ApiAccess): void {
  const dashboard = new Dashboard();
  dashboard.register(app, access);
  app.get('/', async (request, reply) => {
    if (wantsPage(request)) return await dashboard.sendPage(reply);
    const refused = await access.guard.call(app, request, reply);
    return refused ?? addresses;
  });
  app.get('/healthz', async () => ({ status: 'ok' }));
  app.get('/readyz', async (_, reply) => {
    const checks = health.checks();
    const ready = checks.every((check) => check.ready);
    return reply.code(ready ? 200 : 503).send({ status: ready ? 'ready' : 'not ready', checks });
  });
  app.get('/metrics', { onRequest: requireToken(config.metrics.token) }, async (_, reply) => {
    const { contentType, text } = await metrics.render();
    return reply.type(contentType).send(text);
  });
}

/** For programs; a browser gets the dashboard. */
const addresses = {
  service: 'xmpp-event-pusher',
  addresses: {
    '/': 'the dashboard, for browsers',
    '/api/v1/openapi.json': 'the API: all operations with their parameters and responses',
    '/healthz': 'whether the service is alive',
    '/metrics': 'metrics for Prometheus',
    '/readyz': 'whether the service is ready, and which checks fail',
  },
};
