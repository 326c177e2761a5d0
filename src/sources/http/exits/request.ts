/** A complete request as exits and units see it. */
import type { IncomingMessage } from 'node:http';
import { TLSSocket } from 'node:tls';
import type { HttpInfo, HttpRequestParts } from '../../../../pools/exits.ts';
import type { Refusal } from '../request-guard.ts';
import { type Decode, type Decoders, readMark } from './decoders.ts';
import type { Admitted } from './request-guard.ts';

export interface Received {
  /** Identifies the request in logs. */
  readonly id: string;
  readonly info: HttpInfo;
  /** In the order of the request. */
  readonly headers: readonly (readonly [name: string, value: string])[];
  readonly contentType: ContentType;
  /** UTF-8 if it is text and the descriptor has `convert_text`. */
  readonly body: Buffer;
  /** Decodes the unescaped bytes of a form. */
  readonly decode: Decode;
}

interface ReceiveOptions {
  readonly id: string;
  /** The listener's name. */
  readonly bcamappl: string;
  readonly body: Buffer;
  readonly decoders: Decoders;
}

/** Combines the parts of an admitted request, or refuses a text that cannot be decoded. */
export function receive(request: IncomingMessage, admitted: Admitted, options: ReceiveOptions): Received | Refusal {
  const { id, bcamappl, body, decoders } = options;
  const contentType = readContentType(request.headers['content-type']);
  const converts = admitted.descriptor.convertText && isText(contentType);
  const converted = converts ? convert(options, contentType) : { body, decode: utf8Of(decoders) };
  if ('status' in converted) return converted;
  return { id, info: infoOf(request, admitted, bcamappl), headers: pairs(request.rawHeaders), contentType, ...converted };
}

function utf8Of(decoders: Decoders): Decode {
  return decoders.of('utf-8') ?? (() => undefined);
}

/** Converts text in any charset to UTF-8, without its byte order mark. A form keeps its charset, because its escapes are decoded by field. */
function convert({ body, decoders }: ReceiveOptions, contentType: ContentType): Pick<Received, 'body' | 'decode'> | Refusal {
  const { charset = 'utf-8' } = contentType;
  const mark = readMark(body);
  const decode = decoders.of(charset) && decoders.of(mark?.charset ?? charset);
  if (decode === undefined) return { status: 415, reason: 'malformed', text: `the charset ${charset} is not supported` };
  const unmarked = body.subarray(mark?.length ?? 0);
  if (isForm(contentType)) return { body: unmarked, decode };
  const text = decode(unmarked);
  if (text === undefined) return { status: 400, reason: 'malformed', text: `the body is not ${mark?.charset ?? charset}` };
  return { body: Buffer.from(text), decode: utf8Of(decoders) };
}

function infoOf(request: IncomingMessage, { descriptor, path, query, user }: Admitted, bcamappl: string): HttpInfo {
  return Object.freeze({
    descriptor: descriptor.name,
    tac: descriptor.tac,
    bcamappl,
    version: request.httpVersion,
    scheme: request.socket instanceof TLSSocket ? 'https' : 'http',
    method: request.method ?? '',
    path,
    query,
    user,
    contentType: request.headers['content-type'],
    remoteAddress: request.socket.remoteAddress ?? '',
  });
}

function pairs(raw: readonly string[]): readonly (readonly [string, string])[] {
  return Array.from({ length: raw.length / 2 }, (_, index) => [raw[2 * index] ?? '', raw[2 * index + 1] ?? ''] as const);
}

/** The request as the functions that a module exit gets. */
export function requestParts({ info, headers, body }: Received): HttpRequestParts {
  const visible = headers.filter(([name]) => name.toLowerCase() !== 'authorization');
  return {
    getVersion: () => info.version,
    getScheme: () => info.scheme,
    getMethod: () => info.method,
    getPath: () => info.path,
    getQuery: () => info.query,
    getUser: () => info.user,
    getHeaderCount: () => visible.length,
    getHeaderByName: (wanted) => {
      const values = visible.filter(([name]) => name.toLowerCase() === String(wanted).toLowerCase()).map(([, value]) => value);
      return values.length === 0 ? undefined : values.join(', ');
    },
    getHeaderByIndex: (index) => {
      const found = visible[index];
      return found && { name: found[0], value: found[1] };
    },
    getRequestBody: () => Buffer.from(body), // a copy, which the exit may change
    percentDecode: (text) => percentDecode(String(text)),
  };
}

function percentDecode(text: string): string | undefined {
  try {
    return decodeURIComponent(text);
  } catch {
    return undefined; // URIError: malformed, or not UTF-8
  }
}

/** A `Content-Type` (RFC 9110 §8.3), in lower case. */
interface ContentType {
  readonly media: string;
  readonly charset: string | undefined;
}

function readContentType(header = ''): ContentType {
  const [media = ''] = header.split(';', 1);
  const [, quoted, plain] = /;\s*charset=(?:"([^"]*)"|([^\s;]+))/i.exec(header) ?? [];
  return { media: media.trim().toLowerCase(), charset: (quoted ?? plain)?.toLowerCase() };
}

export function isForm({ media }: ContentType): boolean {
  return media === 'application/x-www-form-urlencoded';
}

export function isJson({ media }: ContentType): boolean {
  return media === 'application/json' || media.endsWith('+json');
}

/** Whether the body is text, which has a charset. */
function isText(type: ContentType): boolean {
  const { media } = type;
  return media.startsWith('text/') || isForm(type) || isJson(type) || media === 'application/xml' || media.endsWith('+xml');
}
