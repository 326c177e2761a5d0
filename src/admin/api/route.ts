/** A route of the API as data: its schemas check the parameters, type the response, and make the OpenAPI document. */
import { z } from 'zod';
import { asTable, isTable, mistakeLine, type Table } from '../../config/mistakes.ts';
import type { Redactor } from '../../config/secrets.ts';
import { SectionReader } from '../../config/section-reader.ts';
import type { Clock } from '../../kit/clock.ts';
import type { Erasure } from '../../spool/erasure.ts';
import type { Spool } from '../../spool/spool.ts';
import type { EventSink } from '../../telemetry/events.ts';
import type { RecentWithheld } from '../../telemetry/recent.ts';
import type { EventActions } from '../event-actions.ts';
import type { EventLookup } from '../event-lookup.ts';
import type { ServiceOperations } from '../operations.ts';
import type { StatusBoard } from '../status/board.ts';
import type { Tail } from '../tail.ts';

export interface Route {
  readonly method: 'GET' | 'POST';
  /** Below the API's root: `/dead-letters/{id}`. */
  readonly path: string;
  readonly summary: string;
  /** All parameters: those of the path, and those of the query (GET) or the JSON body (POST). */
  readonly parameters: z.ZodObject;
  readonly response: z.ZodType;
  /** Checks the given parameters and answers. Throws a ServiceError if the service cannot do it. */
  answer(given: Table, caller: Caller): Promise<Answer>;
}

export interface Caller {
  /** Name of its token; empty without one, and for `[admin] token`. */
  readonly name: string;
  /** Whether it may change anything. */
  readonly mayOperate: boolean;
  /** Whether it may see content: bodies, packets, JIDs. */
  readonly mayReadContent: boolean;
  /** Whether it is a browser that has signed in. */
  readonly signedIn: boolean;
  readonly address: string;
}

export type Answer = BadRequest | { readonly kind: 'done'; readonly value: unknown };

/** The parameters are invalid; `message` names valid ones. */
interface BadRequest {
  readonly kind: 'bad-request';
  readonly message: string;
}

/** Parts of the service that the API reads and operates. */
export interface ApiDependencies {
  readonly spool: Pick<Spool, 'countDead' | 'deadLetter' | 'deadLetters' | 'purgeDead'>;
  readonly operations: ServiceOperations;
  readonly withheld: RecentWithheld;
  readonly status: StatusBoard;
  readonly lookup: Pick<EventLookup, 'count' | 'descendants' | 'find' | 'show'>;
  readonly actions: Pick<EventActions, 'drop' | 'retry'>;
  readonly erasure: Pick<Erasure, 'run'>;
  readonly tail: Pick<Tail, 'read'>;
  readonly events: EventSink;
  readonly clock: Pick<Clock, 'now'>;
  /** Hides the secrets of the configuration in every response. */
  readonly redactor: Pick<Redactor, 'bytes' | 'value'>;
}

interface Definition<Given, Response extends z.ZodType> {
  readonly method: Route['method'];
  readonly path: string;
  readonly summary: string;
  readonly parameters: z.ZodObject & z.ZodType<Given>;
  readonly response: Response;
  handle(given: Given, caller: Caller): Promise<z.input<Response>> | z.input<Response>;
}

export function defineRoute<Given, Response extends z.ZodType>(definition: Definition<Given, Response>): Route {
  const { method, path, summary, parameters, response } = definition;
  return {
    ...{ method, path, summary, parameters, response },
    answer: async (given, caller) => {
      const reader = new SectionReader({ folder: '', written: given, mistakes: [] });
      const checked = reader.read<Given>(parameters, given, []);
      if (checked === undefined) return badRequest(reader.mistakes.map(mistakeLine).join('; '));
      return { kind: 'done', value: await definition.handle(checked, caller) };
    },
  };
}

function badRequest(message: string): BadRequest {
  return { kind: 'bad-request', message };
}

/** Logs a change with the address of the caller. */
export function audit(events: EventSink, { address, name }: Caller, what: string): void {
  const who = name === '' ? address : `${address} by ${name}`;
  events.emit('notice', { text: `admin API, asked from ${who}: ${what}` });
}

/** The parameters of a route, by their place in the request. */
interface PlacedParameters {
  readonly inPath: readonly NamedSchema[];
  /** Those of the query or the body. */
  readonly others: readonly NamedSchema[];
  /** Names of required ones among the others. */
  readonly required: readonly string[];
  readonly description: { readonly description?: unknown };
}

type NamedSchema = readonly [name: string, schema: unknown];

export function parametersOf({ parameters, path }: Pick<Route, 'parameters' | 'path'>): PlacedParameters {
  const { properties, required, description } = toJsonSchema(parameters, 'input');
  const inPath = Array.from(path.matchAll(/\{(\w+)\}/g), ([, name = '']) => name);
  const entries = Object.entries(asTable(properties));
  return {
    inPath: entries.filter(([name]) => inPath.includes(name)),
    others: entries.filter(([name]) => !inPath.includes(name)),
    required: Array.isArray(required) ? required.filter((name) => !inPath.includes(name)) : [],
    description: description === undefined ? {} : { description },
  };
}

export function toJsonSchema(schema: z.ZodType, io: 'input' | 'output'): Table {
  const { $schema, ...rest } = z.toJSONSchema(schema, { io });
  return rest;
}

/** The parts of a request that carry parameters. */
interface RequestParts {
  readonly params: unknown;
  readonly query: unknown;
  /** Undefined: no body. */
  readonly body: unknown;
}

type ReadParameters = BadRequest | { readonly kind: 'parameters'; readonly given: Table };

/**
 * Makes a reader of a route's parameters: from the path, and from the query of a GET or the body of a POST. A POST with a query is
 * refused: a `dryRun` in the wrong place must not be ignored.
 */
export function createParameterReader(route: Pick<Route, 'method' | 'parameters' | 'path'>): (parts: RequestParts) => ReadParameters {
  const placed = parametersOf(route);
  const schemas = new Map(placed.others);

  function readQuery({ params, query }: RequestParts): ReadParameters {
    const read = Object.entries(asTable(query)).map(([name, text]) => [name, fromText(text, schemas.get(name))]);
    return join(Object.fromEntries(read), params);
  }

  function readBody({ params, query, body = {} }: RequestParts): ReadParameters {
    if (Object.keys(asTable(query)).length > 0) return badRequest('a POST takes no query; send the parameters in the JSON body');
    return isTable(body) ? join(body, params) : badRequest('the body must be a JSON object');
  }

  function join(others: Table, params: unknown): ReadParameters {
    const duplicate = placed.inPath.find(([name]) => Object.hasOwn(others, name));
    if (duplicate !== undefined) return badRequest(`"${duplicate[0]}" is already in the path`);
    return { kind: 'parameters', given: { ...others, ...asTable(params) } };
  }

  return route.method === 'GET' ? readQuery : readBody;
}

/** Converts a query parameter to the type of its schema; an unreadable one stays text, which the schema then refuses. */
function fromText(text: unknown, schema: unknown): unknown {
  switch (asTable(schema)['type']) {
    case 'array':
      return Array.isArray(text) ? text : [text];
    case 'boolean':
      return text === 'true' || text === 'false' ? text === 'true' : text;
    case 'integer':
      return typeof text === 'string' && /^\d{1,15}$/.test(text) ? Number(text) : text;
    default:
      return text;
  }
}
