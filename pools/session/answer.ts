import type { SessionResponse } from '../callbacks.ts';
import type { HeaderPair, Outcome } from '../contract.ts';
import type { AnswerKeeper } from '../exchange.ts';
import { joined } from './header-record.ts';

/** Takes in an answer for `handleResponse`. */
export interface Answer extends AnswerKeeper {
  /** What is known of it when it is complete. */
  response(outcome: Extract<Outcome, { kind: 'answered' }>): Omit<SessionResponse, 'userdata'>;
}

/** The body is kept up to the pool's `max_response_size`. */
export function createAnswer(maxBytes: number): Answer {
  let statusReason = '';
  let headers: HeaderPair[] = [];
  let chunks: Buffer[] = [];
  let room = maxBytes;

  return {
    head: (reason, raw) => {
      statusReason = reason;
      headers = pairs(raw);
      [chunks, room] = [[], maxBytes];
    },
    body: (chunk) => {
      chunks.push(chunk.subarray(0, room));
      room = Math.max(0, room - chunk.length);
    },
    response: ({ status, truncated }) => ({
      statusCode: status,
      statusReason,
      headers: joined(headers),
      body: Buffer.concat(chunks).toString('utf8'),
      truncated,
    }),
  };
}

/** Before there is one. */
export function emptyResponse(): SessionResponse {
  return { statusCode: 0, statusReason: '', headers: joined([]), body: '', truncated: false, userdata: undefined };
}

function pairs(raw: readonly (Buffer | string)[]): HeaderPair[] {
  const found: HeaderPair[] = [];
  for (let index = 0; index + 1 < raw.length; index += 2) found.push([text(raw[index]), text(raw[index + 1])]);
  return found;
}

function text(raw: Buffer | string | undefined): string {
  return raw === undefined || typeof raw === 'string' ? (raw ?? '') : raw.toString('latin1');
}
