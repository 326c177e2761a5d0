import type { FastifyInstance } from 'fastify';

/** Which methods an address answers to, for a request that came with another. */
export interface RouteIndex {
  methodsAt(path: string): readonly string[];
}

/** Notes every route that is registered from now on. */
export function routeIndex(app: FastifyInstance): RouteIndex {
  const routes: { readonly methods: readonly string[]; readonly path: RegExp }[] = [];
  app.addHook('onRoute', ({ method, url }) => {
    const pattern = url.replace(/[.]/g, '\\$&').replace(/:\w+/g, '[^/]+');
    routes.push({ methods: [method].flat(), path: new RegExp(`^${pattern}$`) });
  });
  return {
    methodsAt: (path) => [...new Set(routes.filter((route) => route.path.test(path)).flatMap(({ methods }) => methods))],
  };
}
