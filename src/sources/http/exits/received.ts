import type { HttpInfo, HttpRequestParts } from '../../../../pools/exits.ts';
import type { ContentType } from './content-type.ts';
import type { Decode } from './decoders.ts';

/** A request that has come whole and may come in. */
export interface Received {
  /** Names it in logs; what it becomes bears the same id. */
  readonly id: string;
  readonly info: HttpInfo;
  /** In the order in which they came. */
  readonly headers: readonly (readonly [name: string, value: string])[];
  readonly contentType: ContentType;
  /** In UTF-8 where it is text and the descriptor converts. */
  readonly body: Buffer;
  /** Reads what stands escaped in a form. */
  readonly decode: Decode;
}

/** What exits may ask about a request. */
export function requestParts({ info, headers, body }: Received): HttpRequestParts {
  const shown = headers.filter(([name]) => name.toLowerCase() !== 'authorization');
  return {
    getVersion: () => info.version,
    getScheme: () => info.scheme,
    getMethod: () => info.method,
    getPath: () => info.path,
    getQuery: () => info.query,
    getUser: () => info.user,
    getHeaderCount: () => shown.length,
    getHeaderByName: (wanted) => {
      const values = shown.filter(([name]) => name.toLowerCase() === String(wanted).toLowerCase()).map(([, value]) => value);
      return values.length === 0 ? undefined : values.join(', ');
    },
    getHeaderByIndex: (index) => {
      const found = shown[index];
      return found && { name: found[0], value: found[1] };
    },
    getRequestBody: () => Buffer.from(body), // a copy: an exit may do with it what it likes
    percentDecode: (text) => percentDecode(String(text)),
  };
}

function percentDecode(text: string): string | undefined {
  try {
    return decodeURIComponent(text);
  } catch {
    return undefined; // broken, or not UTF-8: the one error there is
  }
}
