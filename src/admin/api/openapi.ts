import type { Table } from '../../config/mistakes.ts';
import { parametersOf, type Route, toJsonSchema } from './route.ts';
import { refusalShape } from './values.ts';

/** Prefix of every address of the API. */
export const apiRoot = '/api/v1';

/** The document of the API (OpenAPI 3.1), made from the schemas that check the parameters and type the responses. */
export function openApiDocument(routes: readonly Route[], version: string): Table {
  const paths: Record<string, Record<string, unknown>> = {};
  for (const route of routes) paths[route.path] = { ...paths[route.path], [route.method.toLowerCase()]: operation(route) };
  return {
    openapi: '3.1.0',
    info: { title: 'xmpp-event-pusher', description: 'Operates a running service.', version },
    servers: [{ url: apiRoot }],
    security: [{}, { token: [] }],
    paths,
    components: {
      securitySchemes: {
        token: { type: 'http', scheme: 'bearer', description: '`[admin] token`: required off loopback, and for content.' },
      },
      schemas: { Refusal: toJsonSchema(refusalShape, 'output') },
    },
  };
}

function operation(route: Route): Table {
  const { method, summary, response } = route;
  const { inPath, others, required, description } = parametersOf(route);
  const parameters = [
    ...inPath.map(([name, schema]) => ({ name, in: 'path', required: true, schema })),
    ...(method === 'GET' ? others.map(([name, schema]) => ({ name, in: 'query', required: required.includes(name), schema })) : []),
  ];
  const schema = { type: 'object', properties: Object.fromEntries(others), required, additionalProperties: false, ...description };
  return {
    operationId: operationId(route),
    summary,
    parameters,
    ...(method === 'POST' && others.length > 0 ? { requestBody: { required: true, content: json(schema) } } : {}),
    responses: {
      200: { description: 'Done.', content: json(toJsonSchema(response, 'output')) },
      default: { description: 'Refused, or failed.', content: json({ $ref: '#/components/schemas/Refusal' }) },
    },
  };
}

/** `POST /pools/{pool}/pause` → `postPoolsPoolPause` */
function operationId({ method, path }: Route): string {
  return method.toLowerCase() + path.replace(/[^a-z]+([a-z])?/gi, (_, letter: string | undefined) => letter?.toUpperCase() ?? '');
}

function json(schema: unknown): Table {
  return { 'application/json': { schema } };
}
