import type { IncomingHttpHeaders, IncomingMessage } from 'node:http';
import type { TextAnswer } from '../kit/http-message.ts';
import { bearerRequired, checkLength, hasBearerToken } from '../kit/request-guard.ts';
import type { Secret } from '../kit/secret.ts';

/** Looks at a request before its body is read. Undefined: it may come in. No answer of it is one that refuses a message. */
export type Door = (request: Pick<IncomingMessage, 'headers' | 'method' | 'url'>) => TextAnswer | undefined;

export interface DoorOptions {
  /** Undefined: whoever reaches the listener may ask. */
  readonly token: Secret | undefined;
  /** The virtual hosts that may ask. */
  readonly hosts: ReadonlySet<string>;
  readonly maxBodyBytes: number;
}

const xmlType = /^application\/xml *(?:; *charset="?utf-8"? *)?$/i;

/** Lets in what comes from no browser, shows the token, asks at the right place about a host of ours, and announces XML that is not too large. */
export function createDoor({ token, hosts, maxBodyBytes }: DoorOptions): Door {
  return ({ headers, method, url }) => {
    // A page in a browser of this machine could ask too, and so read what is refused; its browser says so (Fetch §3.2).
    if (headers.origin !== undefined) return { status: 401, text: 'nothing is answered to web pages' };
    if (token !== undefined && !hasBearerToken(headers.authorization, token)) return bearerRequired;
    if (url !== '/gate') return { status: 404, text: 'messages are asked about at /gate alone' };
    if (method !== 'POST') return { status: 405, headers: { allow: 'POST' }, text: 'only POST is answered here' };
    const host = textOf(headers['event-pusher-host']);
    if (!hosts.has(host)) return { status: 421, text: `"${host}" is no host of this service` };
    return checkLength(headers, maxBodyBytes) ?? unfit(headers);
  };
}

function unfit({ 'content-type': type = '', 'content-encoding': encoding }: IncomingHttpHeaders): TextAnswer | undefined {
  if (xmlType.test(type) && encoding === undefined) return undefined;
  return { status: 415, text: 'the body must be application/xml, in UTF-8 and not compressed' };
}

/** A header's value as UTF-8; Node reads headers as Latin-1. */
export function textOf(value: string[] | string | undefined): string {
  return typeof value === 'string' ? Buffer.from(value, 'latin1').toString() : '';
}
