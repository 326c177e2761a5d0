/** A response: put together by an exit, and sent. */
import { type ServerResponse, validateHeaderName, validateHeaderValue } from 'node:http';
import type { HttpExitPar } from '../../../../pools/exits.ts';
import { waitsToSend } from '../../../kit/http-message.ts';
import type { Refusal } from '../request-guard.ts';
import { bytesOf } from './parts.ts';

export interface Reply {
  readonly status: number;
  readonly headers: readonly (readonly [name: string, value: string])[];
  readonly body: Buffer;
}

/** A plain text reply of the service itself. */
export function plainReply({ status, text, headers = {} }: Omit<Refusal, 'reason'>): Reply {
  return { status, headers: [...Object.entries(headers), textType], body: Buffer.from(text === '' ? '' : `${text}\n`) };
}

export const textType = ['content-type', 'text/plain; charset=utf-8'] as const;
export const bytesType = ['content-type', 'application/octet-stream'] as const;

/** Headers that the service sets; an exit's are ignored. */
const reserved: ReadonlySet<string> = new Set(['connection', 'content-length', 'keep-alive', 'trailer', 'transfer-encoding', 'upgrade']);

/** Sends a reply. `last` closes the connection after it, as does a client that waits to send a body. */
export function sendReply(response: ServerResponse, { status, headers, body }: Reply, { last }: { readonly last: boolean }): void {
  const byName = new Map<string, string[]>();
  for (const [name, value] of headers) {
    const lower = name.toLowerCase();
    if (reserved.has(lower)) continue;
    const values = byName.get(lower);
    if (values === undefined) byName.set(lower, [value]);
    else values.push(value);
  }
  for (const [name, values] of byName) response.setHeader(name, values.length === 1 ? (values[0] ?? '') : values);
  response.setHeader('x-content-type-options', 'nosniff');
  if (last || waitsToSend(response.req)) response.setHeader('connection', 'close');
  const bodiless = status === 204 || status === 304;
  if (!bodiless) response.setHeader('content-length', body.length);
  response.writeHead(status);
  response.end(bodiless ? undefined : body);
}

/** Maximum size of a response's body, bytes. */
const maxBodyBytes = 16 * 1024 * 1024;

/** A response that a module exit puts together. Its methods are handed to the module as functions. */
export class ReplyBuilder implements Pick<HttpExitPar, 'putHeader' | 'putResponseBody' | 'putStatus'> {
  readonly #headers: [name: string, value: string][] = [];
  readonly #body: Buffer[] = [];
  #status: number;
  #size = 0;

  constructor(defaultStatus: number) {
    this.#status = defaultStatus;
  }

  readonly putStatus = (code: number): void => {
    if (!Number.isInteger(code) || code < 200 || code > 599) throw new RangeError(`a status is 200 to 599, received ${String(code)}`);
    this.#status = code;
  };

  readonly putHeader = (name: string, value: string): void => {
    validateHeaderName(name);
    validateHeaderValue(name, value);
    this.#headers.push([name, String(value)]);
  };

  readonly putResponseBody = (given: Uint8Array | string): void => {
    const bytes = bytesOf(given);
    this.#size += bytes.length;
    if (this.#size > maxBodyBytes) throw new RangeError(`a response's body may have ${maxBodyBytes} bytes`);
    this.#body.push(bytes);
  };

  get reply(): Reply {
    const isTyped = this.#size === 0 || this.#headers.some(([name]) => name.toLowerCase() === 'content-type');
    return { status: this.#status, headers: isTyped ? this.#headers : [...this.#headers, bytesType], body: Buffer.concat(this.#body) };
  }
}
