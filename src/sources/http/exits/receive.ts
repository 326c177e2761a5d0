import type { IncomingMessage } from 'node:http';
import { TLSSocket } from 'node:tls';
import type { HttpInfo } from '../../../../pools/exits.ts';
import type { Refusal } from '../answer.ts';
import { type ContentType, isForm, isText, readContentType } from './content-type.ts';
import { type Decode, type Decoders, readMark } from './decoders.ts';
import type { Admitted } from './door.ts';
import type { Received } from './received.ts';

export interface Arrived {
  readonly id: string;
  /** The listener's name. */
  readonly bcamappl: string;
  readonly body: Buffer;
  readonly decoders: Decoders;
}

/** Puts together what exits and units may know of a request, or says why its text cannot be read. */
export function receive(request: IncomingMessage, admitted: Admitted, arrived: Arrived): Received | Refusal {
  const contentType = readContentType(request.headers['content-type']);
  const converted = admitted.descriptor.convertText && isText(contentType) ? convert(arrived, contentType) : asItIs(arrived);
  if ('status' in converted) return converted;
  return {
    id: arrived.id,
    info: infoOf(request, admitted, arrived.bcamappl),
    headers: pairs(request.rawHeaders),
    contentType,
    ...converted,
  };
}

interface Converted {
  readonly body: Buffer;
  readonly decode: Decode;
}

function asItIs({ body, decoders }: Arrived): Converted {
  return { body, decode: utf8Of(decoders) };
}

function utf8Of(decoders: Decoders): Decode {
  return decoders.of('utf-8') ?? (() => undefined);
}

/** Converts text in any charset to UTF-8, without its byte order mark. A form is not converted here, because its escapes are decoded field by field. */
function convert({ body, decoders }: Arrived, contentType: ContentType): Converted | Refusal {
  const { charset = 'utf-8' } = contentType;
  const mark = readMark(body);
  const decode = decoders.of(charset) && decoders.of(mark?.charset ?? charset);
  if (decode === undefined) return { status: 415, reason: 'malformed', text: `the charset ${charset} is not known here` };
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
