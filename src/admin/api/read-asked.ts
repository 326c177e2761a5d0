import { asTable, isTable, type Table } from '../../config/mistakes.ts';
import { questionsOf } from './openapi.ts';
import type { Misasked, Route } from './route.ts';

/** The parts of a request that may ask something. */
export interface RequestParts {
  readonly params: unknown;
  readonly query: unknown;
  /** Undefined where there was none. */
  readonly body: unknown;
}

type Asked = Misasked | { readonly kind: 'asked'; readonly asked: Table };

/**
 * Makes a reader that joins what the parts of a request ask of a route: the query of a GET, the body of a POST. A POST
 * has no query: a `dryRun` must not be passed over because it stands in the wrong place.
 */
export function createAskedReader(route: Pick<Route, 'asks' | 'method' | 'path'>): (parts: RequestParts) => Asked {
  const { inPath, beside } = questionsOf(route);
  const schemas = new Map(beside);

  function readQuery({ params, query }: RequestParts): Asked {
    const read = Object.entries(asTable(query)).map(([name, text]) => [name, fromText(text, schemas.get(name))]);
    return join(Object.fromEntries(read), params);
  }

  function readBody({ params, query, body = {} }: RequestParts): Asked {
    if (Object.keys(asTable(query)).length > 0) return misasked('a POST takes no query; ask in the JSON body');
    return isTable(body) ? join(body, params) : misasked('the body must be a JSON object');
  }

  function join(asked: Table, params: unknown): Asked {
    const twice = inPath.find(([name]) => Object.hasOwn(asked, name));
    if (twice !== undefined) return misasked(`"${twice[0]}" stands in the path already`);
    return { kind: 'asked', asked: { ...asked, ...asTable(params) } };
  }

  return route.method === 'GET' ? readQuery : readBody;
}

function misasked(message: string): Misasked {
  return { kind: 'misasked', message };
}

/** A parameter of a query as the value that its schema wants; what cannot be read stays a text, which the schema then refuses. */
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
