/** Calls `buildRequest` and reads what the module left in the session: fields, or one complete HTTP message. */
import type { Body, HeaderPair } from '../../src/model/delivery.ts';
import { HTTP_INTERNAL_CONT, HTTP_INTERNAL_DONE, HTTP_INTERNAL_FAIL, type Session, type SessionRequest } from '../callbacks.ts';
import type { Job } from '../contract.ts';
import { unsendable } from '../http-client.ts';
import type { CallbackCaller, HandlerModule } from './handler-module.ts';

export type Built = { readonly kind: 'failed'; readonly message: string } | { readonly kind: 'built'; readonly job: Job };

export class RequestBuilder {
  readonly #caller: CallbackCaller;
  readonly #origin: string;
  /** Modules whose wrong content-length has been reported. */
  readonly #reported = new Set<HandlerModule>();

  constructor(caller: CallbackCaller, origin: string) {
    this.#caller = caller;
    this.#origin = origin;
  }

  /** Makes a job that can be sent of the session's request. */
  async build(module: HandlerModule, job: Job, session: Session): Promise<Built> {
    if (module.callbacks.buildRequest === undefined) return sendable(job);
    const subject = { module, callback: 'buildRequest', id: job.id } as const;
    const called = await this.#caller.call({ ...subject, invoke: (callbacks) => callbacks.buildRequest?.(session) });
    if (called.kind === 'failed') return called;
    if (called.value === HTTP_INTERNAL_FAIL) return { kind: 'failed', message: 'buildRequest returned HTTP_INTERNAL_FAIL' };

    try {
      const built = this.#read(called.value, session.request, job);
      if (!this.#reported.has(module) && hasWrongLength(session.request, built)) {
        this.#reported.add(module);
        this.#caller.report(
          subject,
          new TypeError('its content-length differs from the length of its body and was replaced; reported once'),
        );
      }
      return built;
    } catch (thrown) {
      this.#caller.report(subject, thrown);
      return { kind: 'failed', message: 'buildRequest built no request that can be sent' };
    }
  }

  #read(code: unknown, request: SessionRequest, job: Job): Built {
    switch (code) {
      case undefined:
      case HTTP_INTERNAL_CONT:
        return orThrow(sendable({ ...job, ...readRequest(request) }));
      case HTTP_INTERNAL_DONE:
        if (request.data === undefined) throw new TypeError('it returned HTTP_INTERNAL_DONE without session.request.data');
        return orThrow(sendable({ ...job, ...parseRawRequest(readBody('data', request.data), this.#origin) }));
      default:
        throw new TypeError('it returned none of HTTP_INTERNAL_CONT, HTTP_INTERNAL_DONE, HTTP_INTERNAL_FAIL');
    }
  }
}

/** The request of a job as `buildRequest` gets it. */
export function sessionRequest({ method, path, headers, body }: Job): SessionRequest {
  return { method, path, headers: headerRecord(headers), body, data: undefined, userdata: undefined };
}

function sendable(job: Job): Built {
  const failure = job.method === 'CONNECT' ? { message: 'the method CONNECT is not allowed' } : unsendable(job);
  return failure === undefined ? { kind: 'built', job } : { kind: 'failed', message: failure.message };
}

function orThrow(built: Built): Built {
  if (built.kind === 'failed') throw new TypeError(built.message);
  return built;
}

/** The module may have set any value. */
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
  if (body instanceof Uint8Array) return new Uint8Array(body); // a copy, since the module may change its own
  throw new TypeError(`expected session.request.${field} to be a string or a Uint8Array, got ${typeof body}`);
}

/** Whether the fields have a content-length other than that of the body. The length of a complete message has been checked. */
function hasWrongLength(request: SessionRequest, built: Built): boolean {
  if (built.kind !== 'built' || request.data !== undefined) return false;
  const length = built.job.headers.find(([name]) => name.toLowerCase() === 'content-length');
  return length !== undefined && length[1].trim() !== String(Buffer.byteLength(built.job.body));
}

/**
 * Headers as a record with case-insensitive names: names are stored in lower case, the value set last counts, and the values of a
 * repeated name in `pairs` are joined (RFC 9110 §5.3).
 */
export function headerRecord(pairs: readonly HeaderPair[]): Record<string, string> {
  return new Proxy(joined(pairs), {
    get: (record, name) => Reflect.get(record, folded(name)),
    set: (record, name, value) => Reflect.set(record, folded(name), value),
    has: (record, name) => Reflect.has(record, folded(name)),
    deleteProperty: (record, name) => Reflect.deleteProperty(record, folded(name)),
  });
}

/** The same as an ordinary record without a prototype. */
export function joined(pairs: readonly HeaderPair[]): Record<string, string> {
  const record: Record<string, string> = Object.create(null);
  for (const [name, value] of pairs) {
    const key = name.toLowerCase();
    const before = record[key];
    record[key] = before === undefined ? value : `${before}, ${value}`;
  }
  return record;
}

function folded(name: string | symbol): string | symbol {
  return typeof name === 'string' ? name.toLowerCase() : name;
}

/** The parts of a complete HTTP message. */
interface RawRequest {
  readonly method: string;
  readonly path: string;
  readonly headers: readonly HeaderPair[];
  readonly body: Body;
}

/**
 * Parses one complete HTTP/1.1 request for `origin`, strictly: a message that another parser could read differently is refused
 * (RFC 9112). Text is UTF-8. Throws TypeError, without quoting the message.
 */
export function parseRawRequest(data: Body, origin: string): RawRequest {
  const bytes = typeof data === 'string' ? Buffer.from(data) : Buffer.from(data.buffer, data.byteOffset, data.byteLength);
  const headEnd = bytes.indexOf('\r\n\r\n');
  if (headEnd < 0) throw invalid('the head does not end');

  const [requestLine = '', ...lines] = bytes.toString('latin1', 0, headEnd).split('\r\n');
  const { method, target } = readRequestLine(requestLine);
  const headers = lines.map(readHeader);
  const body = bytes.subarray(headEnd + 4);

  const path = pathOf(target, origin);
  checkHost(headers, origin);
  checkLength(headers, body.length);
  return { method, path, headers, body };
}

/** RFC 9112 §3. */
function readRequestLine(line: string): { readonly method: string; readonly target: string } {
  const [, method, target] = /^([!#$%&'*+.^_`|~0-9A-Za-z-]+) ([\x21-\x7e]+) HTTP\/1\.1$/.exec(line) ?? [];
  if (method === undefined || target === undefined) throw invalid('the first line is not an HTTP/1.1 request line');
  if (method === 'CONNECT') throw invalid('the method CONNECT is not allowed');
  return { method, target };
}

/** RFC 9112 §5. A folded line (§5.2) begins with white space, which no header name does. */
function readHeader(line: string, index: number): HeaderPair {
  const [, name, value] = /^([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([\t\x20-\x7e\x80-\xff]*?)[ \t]*$/.exec(line) ?? [];
  if (name === undefined || value === undefined) throw invalid(`header line ${index + 1} is not well-formed`);
  return [name, value];
}

/** RFC 9112 §3.2.1 and §3.2.2: a path, or a complete URL of this origin. */
function pathOf(target: string, origin: string): string {
  if (target.includes('#')) throw invalid('the target has a fragment');
  if (target.startsWith('/')) return target;
  const [, authority, path = ''] = /^https?:\/\/([^/?]*)(.*)$/i.exec(target) ?? [];
  const scheme = target.slice(0, target.indexOf(':') + 1).toLowerCase();
  if (authority === undefined || scheme !== new URL(origin).protocol || !isHostOf(authority, origin)) {
    throw invalid('the target is neither a path nor a URL of this pool');
  }
  return path.startsWith('/') ? path : `/${path}`;
}

/** RFC 9112 §3.2. */
function checkHost(headers: readonly HeaderPair[], origin: string): void {
  const [host, ...others] = valuesOf(headers, 'host');
  if (host === undefined || others.length > 0) throw invalid('it does not have exactly one host header');
  if (!isHostOf(host, origin)) throw invalid('the host is not that of this pool');
}

/** RFC 9112 §6. Bytes after the body would be a second message. */
function checkLength(headers: readonly HeaderPair[], bodyBytes: number): void {
  if (valuesOf(headers, 'transfer-encoding').length > 0) throw invalid('it has a transfer-encoding');
  const [length, ...others] = valuesOf(headers, 'content-length');
  if (others.length > 0) throw invalid('it has more than one content-length');
  if (length === undefined && bodyBytes > 0) throw invalid('it has a body and no content-length');
  if (length !== undefined && (!/^\d{1,15}$/.test(length) || Number(length) !== bodyBytes)) {
    throw invalid(`the content-length is not the length of the body, ${bodyBytes} bytes`);
  }
}

function valuesOf(headers: readonly HeaderPair[], wanted: string): string[] {
  return headers.filter(([name]) => name.toLowerCase() === wanted).map(([, value]) => value);
}

/** The default port of the scheme may be omitted. */
function isHostOf(authority: string, origin: string): boolean {
  if (!/^(?:[\w.~!$&'()*+,;=%-]+|\[[\da-f:.]+\])(?::\d{1,5})?$/i.test(authority)) return false;
  const url = `${new URL(origin).protocol}//${authority}`;
  return URL.canParse(url) && new URL(url).origin === new URL(origin).origin;
}

function invalid(reason: string): TypeError {
  return new TypeError(`session.request.data is not one complete request: ${reason}`);
}
