import type { HttpOutcome } from '../../src/model/attempt.ts';
import type { HeaderPair } from '../../src/model/delivery.ts';
import type { SessionResponse } from '../callbacks.ts';
import type { AnswerKeeper } from '../exchange.ts';
import { joined } from './header-record.ts';

/** Takes in an answer for `handleResponse`. */
export interface Answer extends AnswerKeeper {
  /** The answer as a session has it: empty until it is complete. */
  response(): SessionResponse;
  complete(outcome: Extract<HttpOutcome, { kind: 'answered' }>): void;
}

type Told = Omit<SessionResponse, 'userdata'>;

/** The body is kept up to the pool's `max_response_size`. */
export function createAnswer(maxBytes: number): Answer {
  let statusReason = '';
  let headers: HeaderPair[] = [];
  const chunks: Buffer[] = [];
  let room = maxBytes;
  let told: Told = { statusCode: 0, statusReason, headers: joined([]), body: '', truncated: false };

  return {
    head: (reason, raw) => {
      statusReason = reason;
      headers = pairs(raw);
    },
    body: (chunk) => {
      chunks.push(chunk.subarray(0, room));
      room = Math.max(0, room - chunk.length);
    },
    response: () => responseOver(() => told),
    complete: ({ status, truncated }) => {
      told = { statusCode: status, statusReason, headers: joined(headers), body: Buffer.concat(chunks).toString('utf8'), truncated };
    },
  };
}

/** Its module can write nothing there but `userdata`. */
function responseOver(told: () => Told): SessionResponse {
  return {
    get statusCode() {
      return told().statusCode;
    },
    get statusReason() {
      return told().statusReason;
    },
    get headers() {
      return told().headers;
    },
    get body() {
      return told().body;
    },
    get truncated() {
      return told().truncated;
    },
    userdata: undefined,
  };
}

function pairs(raw: readonly (Buffer | string)[]): HeaderPair[] {
  const found: HeaderPair[] = [];
  for (let index = 0; index + 1 < raw.length; index += 2) found.push([text(raw[index]), text(raw[index + 1])]);
  return found;
}

function text(raw: Buffer | string | undefined): string {
  return raw === undefined || typeof raw === 'string' ? (raw ?? '') : raw.toString('latin1');
}
