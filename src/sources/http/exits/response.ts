import { validateHeaderName, validateHeaderValue } from 'node:http';
import type { HttpExitPar } from '../../../../pools/exits.ts';
import { bytesType } from './none-exit.ts';
import { bytesOf } from './parts.ts';
import type { Reply } from './reply.ts';

/** A response while an exit puts it together. */
export interface Response {
  readonly put: Pick<HttpExitPar, 'putHeader' | 'putResponseBody' | 'putStatus'>;
  reply(): Reply;
}

/** Bytes of a response's body, at most. */
const maxBodyBytes = 16 * 1024 * 1024;

/** `status` is that of a response about which the exit says nothing else. */
export function createResponse(status: number): Response {
  const headers: [name: string, value: string][] = [];
  const body: Buffer[] = [];
  let code = status;
  let size = 0;

  return {
    put: {
      putStatus: (given) => {
        if (!Number.isInteger(given) || given < 200 || given > 599)
          throw new RangeError(`a status is 200 to 599, received ${String(given)}`);
        code = given;
      },
      putHeader: (name, value) => {
        validateHeaderName(name);
        validateHeaderValue(name, value);
        headers.push([name, String(value)]);
      },
      putResponseBody: (given) => {
        const bytes = bytesOf(given);
        size += bytes.length;
        if (size > maxBodyBytes) throw new RangeError(`a response's body may have ${maxBodyBytes} bytes`);
        body.push(bytes);
      },
    },
    reply: () => ({ status: code, headers: hasType(headers) || size === 0 ? headers : [...headers, bytesType], body: Buffer.concat(body) }),
  };
}

function hasType(headers: readonly (readonly [string, string])[]): boolean {
  return headers.some(([name]) => name.toLowerCase() === 'content-type');
}
