import { type IncomingHttpHeaders, request } from 'node:http';
import { text } from 'node:stream/consumers';

export interface Question {
  readonly path: string;
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
}

/** One request to this machine on its own connection; unlike `fetch` it sends any given Host header. */
export function ask(port: number, { path, method = 'GET', headers = {}, body = '' }: Question) {
  return new Promise<{ readonly status: number; readonly headers: IncomingHttpHeaders; readonly body: string }>((resolve, reject) => {
    const asked = request({ host: '127.0.0.1', port, path, method, headers, agent: false }, (answer) => {
      text(answer).then((received) => resolve({ status: answer.statusCode ?? 0, headers: answer.headers, body: received }), reject);
    });
    asked.once('error', reject);
    asked.end(body);
  });
}
