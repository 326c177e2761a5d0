import { z } from 'zod';
import { asTable, type Table } from '../../config/mistakes.ts';
import { parametersIn, type Route } from './route.ts';
import { refusalShape } from './values.ts';

/** Below this lies every address of the API. */
export const apiRoot = '/api/v1';

/** The API's document (OpenAPI 3.1), made from the schemas that check its questions and type its answers. */
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
      securitySchemes: { token: { type: 'http', scheme: 'bearer', description: '`[admin] token`: needed off loopback, and for content.' } },
      schemas: { Refusal: toJsonSchema(refusalShape, 'output') },
    },
  };
}

function operation(route: Route): Table {
  const { method, summary, answers } = route;
  const { inPath, beside, required, description } = questionsOf(route);
  const parameters = [
    ...inPath.map(([name, schema]) => ({ name, in: 'path', required: true, schema })),
    ...(method === 'GET' ? beside.map(([name, schema]) => ({ name, in: 'query', required: required.includes(name), schema })) : []),
  ];
  const schema = { type: 'object', properties: Object.fromEntries(beside), required, additionalProperties: false, ...description };
  return {
    operationId: operationId(route),
    summary,
    parameters,
    ...(method === 'POST' && beside.length > 0 ? { requestBody: { required: true, content: json(schema) } } : {}),
    responses: {
      200: { description: 'Done.', content: json(toJsonSchema(answers, 'output')) },
      default: { description: 'Refused, or failed.', content: json({ $ref: '#/components/schemas/Refusal' }) },
    },
  };
}

/** `POST /pools/{pool}/pause` → `postPoolsPoolPause` */
function operationId({ method, path }: Route): string {
  return method.toLowerCase() + path.replace(/[^a-z]+([a-z])?/gi, (_, letter: string | undefined) => letter?.toUpperCase() ?? '');
}

interface Questions {
  readonly inPath: readonly (readonly [name: string, schema: unknown])[];
  readonly beside: readonly (readonly [name: string, schema: unknown])[];
  readonly required: readonly string[];
  readonly description: { readonly description?: unknown };
}

/** What a route asks for, told apart by where it stands in a request. */
export function questionsOf({ asks, path }: Pick<Route, 'asks' | 'path'>): Questions {
  const { properties, required, description } = toJsonSchema(asks, 'input');
  const inPath = parametersIn(path);
  const entries = Object.entries(asTable(properties));
  return {
    inPath: entries.filter(([name]) => inPath.includes(name)),
    beside: entries.filter(([name]) => !inPath.includes(name)),
    required: Array.isArray(required) ? required.filter((name) => !inPath.includes(name)) : [],
    description: description === undefined ? {} : { description },
  };
}

function toJsonSchema(schema: z.ZodType, io: 'input' | 'output'): Table {
  const { $schema, ...told } = z.toJSONSchema(schema, { io });
  return told;
}

function json(schema: unknown): Table {
  return { 'application/json': { schema } };
}
