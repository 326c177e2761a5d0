import type { Body, HeaderPair } from '../../src/model/delivery.ts';
import { HTTP_INTERNAL_CONT, HTTP_INTERNAL_DONE, HTTP_INTERNAL_FAIL, type Session, type SessionRequest } from '../callbacks.ts';
import type { Job } from '../contract.ts';
import { unsendable } from '../request-headers.ts';
import type { CallbackCaller } from './call-callback.ts';
import { headerRecord } from './header-record.ts';
import type { HandlerModule } from './load-modules.ts';
import { parseRawRequest } from './raw-request.ts';

/** What `buildRequest` made of a job. */
export type Built = { readonly kind: 'failed'; readonly message: string } | { readonly kind: 'made'; readonly job: Job };

export interface RequestBuilder {
  build(module: HandlerModule, job: Job, session: Session): Promise<Built>;
}

/** A job's request as `buildRequest` gets it. */
export function sessionRequest({ method, path, headers, body }: Job): SessionRequest {
  return { method, path, headers: headerRecord(headers), body, data: undefined, userdata: undefined };
}

/** Calls `buildRequest` and makes what it left in the session into a job that can be sent. */
export function createRequestBuilder(caller: CallbackCaller, origin: string): RequestBuilder {
  const warned = new Set<HandlerModule>();

  async function build(module: HandlerModule, job: Job, session: Session): Promise<Built> {
    if (module.callbacks.buildRequest === undefined) return sendable(job);
    const about = { module, callback: 'buildRequest', id: job.id } as const;
    const called = await caller.call({ ...about, invoke: (callbacks) => callbacks.buildRequest?.(session) });
    if (called.kind === 'failed') return called;
    if (called.value === HTTP_INTERNAL_FAIL) return { kind: 'failed', message: 'buildRequest gave HTTP_INTERNAL_FAIL' };

    try {
      const made = take(called.value, session.request, job);
      if (!warned.has(module) && hasWrongLength(session.request, made)) {
        warned.add(module);
        caller.complain(about, new TypeError('its content-length is not that of its body, and was replaced; this is told once'));
      }
      return made;
    } catch (thrown) {
      caller.complain(about, thrown);
      return { kind: 'failed', message: 'buildRequest made no request that can be sent' };
    }
  }

  function take(code: unknown, request: SessionRequest, job: Job): Built {
    switch (code) {
      case undefined:
      case HTTP_INTERNAL_CONT:
        return orThrow(sendable({ ...job, ...readRequest(request) }));
      case HTTP_INTERNAL_DONE:
        if (request.data === undefined) throw new TypeError('it gave HTTP_INTERNAL_DONE without session.request.data');
        return orThrow(sendable({ ...job, ...parseRawRequest(readBody('data', request.data), origin) }));
      default:
        throw new TypeError('it gave none of HTTP_INTERNAL_CONT, HTTP_INTERNAL_DONE, HTTP_INTERNAL_FAIL');
    }
  }

  return { build };
}

function sendable(job: Job): Built {
  const mistake = job.method === 'CONNECT' ? { message: 'it asks for a tunnel' } : unsendable(job);
  return mistake === undefined ? { kind: 'made', job } : { kind: 'failed', message: mistake.message };
}

function orThrow(built: Built): Built {
  if (built.kind === 'failed') throw new TypeError(built.message);
  return built;
}

/** The module may have put anything there. */
function readRequest({ method, path, headers, body }: SessionRequest): Pick<Job, 'body' | 'headers' | 'method' | 'path'> {
  if (typeof method !== 'string') throw new TypeError(`expected session.request.method to be a string, got ${typeof method}`);
  if (typeof path !== 'string') throw new TypeError(`expected session.request.path to be a string, got ${typeof path}`);
  return { method, path, headers: readHeaders(headers), body: readBody('body', body) };
}

function readHeaders(headers: unknown): HeaderPair[] {
  if (typeof headers !== 'object' || headers === null || Array.isArray(headers)) {
    throw new TypeError('expected session.request.headers to be an object');
  }
  const byName = new Map<string, HeaderPair>();
  for (const [name, value] of Object.entries(headers)) {
    if (typeof value !== 'string' && typeof value !== 'number') {
      throw new TypeError(`expected the header ${JSON.stringify(name)} to be a string, got ${typeof value}`);
    }
    byName.set(name.toLowerCase(), [name, String(value)]);
  }
  return [...byName.values()];
}

function readBody(field: 'body' | 'data', body: unknown): Body {
  if (typeof body === 'string') return body;
  if (body instanceof Uint8Array) return new Uint8Array(body); // the module may go on using its own
  throw new TypeError(`expected session.request.${field} to be a string or a Uint8Array, got ${typeof body}`);
}

/** Of a complete message the length has been read; here it is only what the module says beside its body. */
function hasWrongLength(request: SessionRequest, built: Built): boolean {
  if (built.kind !== 'made' || request.data !== undefined) return false;
  const length = built.job.headers.find(([name]) => name.toLowerCase() === 'content-length');
  return length !== undefined && length[1].trim() !== String(Buffer.byteLength(built.job.body));
}
