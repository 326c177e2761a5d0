import type { HttpOutcome } from '../../src/model/attempt.ts';
import type { HeaderPair } from '../../src/model/delivery.ts';
import type { SessionResponse } from '../callbacks.ts';
import type { ResponseRecorder } from '../exchange.ts';
import { joined } from './build-request.ts';

type Content = Omit<SessionResponse, 'userdata'>;

/** Records a response for `handleResponse`; the body up to the pool's `max_response_size`. */
export class RecordedResponse implements ResponseRecorder {
  readonly #chunks: Buffer[] = [];
  #bytesLeft: number;
  #statusReason = '';
  #headers: HeaderPair[] = [];
  #content: Content = { statusCode: 0, statusReason: '', headers: joined([]), body: '', truncated: false };

  constructor(maxBytes: number) {
    this.#bytesLeft = maxBytes;
  }

  head(reason: string, raw: readonly (Buffer | string)[]): void {
    this.#statusReason = reason;
    this.#headers = pairs(raw);
  }

  body(chunk: Buffer): void {
    this.#chunks.push(chunk.subarray(0, this.#bytesLeft));
    this.#bytesLeft = Math.max(0, this.#bytesLeft - chunk.length);
  }

  complete({ status, truncated }: Extract<HttpOutcome, { kind: 'answered' }>): void {
    this.#content = {
      statusCode: status,
      statusReason: this.#statusReason,
      headers: joined(this.#headers),
      body: Buffer.concat(this.#chunks).toString('utf8'),
      truncated,
    };
  }

  /** The response as a session shows it: empty until it is complete. The module can write only `userdata`. */
  forSession(): SessionResponse {
    const content = () => this.#content;
    return {
      get statusCode() {
        return content().statusCode;
      },
      get statusReason() {
        return content().statusReason;
      },
      get headers() {
        return content().headers;
      },
      get body() {
        return content().body;
      },
      get truncated() {
        return content().truncated;
      },
      userdata: undefined,
    };
  }
}

function pairs(raw: readonly (Buffer | string)[]): HeaderPair[] {
  const found: HeaderPair[] = [];
  for (let index = 0; index + 1 < raw.length; index += 2) found.push([text(raw[index]), text(raw[index + 1])]);
  return found;
}

function text(raw: Buffer | string | undefined): string {
  return raw === undefined || typeof raw === 'string' ? (raw ?? '') : raw.toString('latin1');
}
