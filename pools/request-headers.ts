import type { EpochMs } from '../src/kit/clock.ts';
import type { Job } from './contract.ts';

/**
 * The headers of one attempt, as a flat list of names and values: the handler's own in their order and case, then what
 * every request carries. `host`, `connection` and `content-length` are the client's to add. Of the handler's own, those
 * that would override ours or belong to the connection (RFC 9110 §7.6.1) are left out.
 */
export function requestHeaders(job: Job, { userAgent, now }: { readonly userAgent: string; readonly now: EpochMs }): string[] {
  const headers: string[] = [];
  for (const [name, value] of job.headers) {
    if (!reserved.has(name.toLowerCase())) headers.push(name, value);
  }
  headers.push(
    'webhook-id',
    job.id,
    'webhook-timestamp',
    String(Math.floor(now / 1000)),
    'event-pusher-time',
    job.seenAt,
    'event-pusher-attempt',
    String(job.attempt),
    'user-agent',
    userAgent,
  );
  return headers;
}

/** Why a job cannot be put on the wire as HTTP/1.1 (RFC 9110 §5.1, §5.5, §9.1; RFC 9112 §3.2), or undefined. */
export function unsendable(job: Job): { readonly code: string; readonly message: string } | undefined {
  if (!token.test(job.method)) return { code: 'ERR_INVALID_HTTP_TOKEN', message: 'the method is no HTTP token' };
  if (job.path[0] !== '/' || pathTaboo.test(job.path)) {
    return { code: 'ERR_UNESCAPED_CHARACTERS', message: 'the path does not begin with a slash, or has characters that must be escaped' };
  }
  for (const [name, value] of job.headers) {
    if (!token.test(name) || valueTaboo.test(value)) {
      return { code: 'ERR_INVALID_HEADER', message: `header ${JSON.stringify(name)} cannot be sent` };
    }
  }
  return undefined;
}

const token = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;
const pathTaboo = /[^\x21-\x7e]/;
/** Anything but tab and the characters of Latin-1 that are no controls: a line break would smuggle a header in. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: a tab is allowed in a value
const valueTaboo = /[^\x09\x20-\x7e\x80-\xff]/;

const reserved = new Set([
  'connection',
  'content-length',
  'event-pusher-attempt',
  'event-pusher-time',
  'expect',
  'host',
  'keep-alive',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
  'user-agent',
  'webhook-id',
  'webhook-timestamp',
]);
