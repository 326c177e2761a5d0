import { connect } from 'node:net';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { startAdminRig } from '../../support/admin-rig.ts';
import { startExitsSource } from '../../support/exits-source.ts';
import { startGate } from '../../support/gate.ts';
import { startHttpSource } from '../../support/http-source.ts';
import { effort, fuzzTimeoutMs } from './effort.ts';
import { cutAt, cuts } from './mutations.ts';

interface Front extends AsyncDisposable {
  readonly port: number;
  /** Internal errors while it served. */
  readonly faults: readonly string[];
}

const fronts: readonly (readonly [name: string, start: () => Promise<Front>])[] = [
  ['exits', startExits],
  ['posts', async () => watched(await startHttpSource())],
  ['the gate', async () => watched(await startGate())],
  ['the admin listener', startAdmin],
];

async function startExits(): Promise<Front> {
  const front = await startExitsSource({ attachment: { requestTimeoutMs: 1000 } });
  return watched({ ...front, port: front.ports()[0] ?? 0 });
}

async function startAdmin(): Promise<Front> {
  const rig = await startAdminRig(); // stopped with the test
  return watched({ ...rig, [Symbol.asyncDispose]: async () => undefined });
}

function watched({
  port,
  events,
  ...rest
}: AsyncDisposable & { port: number; events: Awaited<ReturnType<typeof startGate>>['events'] }): Front {
  const faults: string[] = [];
  events.on('request.failed', ({ error }) => faults.push(String(error.stack)));
  events.on('exit.failed', ({ error }) => faults.push(String(error)));
  return { port, faults, [Symbol.asyncDispose]: () => rest[Symbol.asyncDispose]() };
}

const word = fc.oneof(fc.string({ maxLength: 20 }), fc.constantFrom('x', '0', '-1', '9'.repeat(30), '\0', '\u00ff', ' '));
const line = fc.constantFrom(
  'POST /push HTTP/1.1',
  'POST / HTTP/1.1',
  'POST /gate HTTP/1.1',
  'POST /api/v1/dead-letters/purge HTTP/1.1',
  'GET /metrics HTTP/1.1',
  'GET http://x/readyz HTTP/1.1',
  'HEAD / HTTP/1.0',
  'CONNECT x:1 HTTP/1.1',
  'OPTIONS * HTTP/1.1',
  'PRI * HTTP/2.0',
  'TRACE / HTTP/1.1',
  'GET http:// HTTP/1.1',
  'POST //%zz/../.. HTTP/1.1',
  'GET /',
  '',
);
const header = fc.oneof(
  fc.constantFrom(
    'Host: 127.0.0.1',
    'Host: x',
    'Connection: close',
    'Connection: upgrade',
    'Upgrade: websocket',
    'Expect: 100-continue',
    'Expect: 200-ok',
    'Transfer-Encoding: chunked',
    'Transfer-Encoding: gzip, chunked',
    'Content-Type: application/json',
    'Content-Type: application/x-www-form-urlencoded',
    'Content-Type: application/xml',
    'Content-Encoding: gzip',
    'Event-Pusher-Host: localhost',
    'Origin: null',
    'Content-Length: 0',
    'Content-Length: 5',
    'Content-Length: 40',
    'Content-Length: 99999999',
    'Content-Length: 5, 5',
    'Authorization: Basic Og==',
    'Authorization: Bearer x',
  ),
  fc.tuple(word, word).map(([name, value]) => `${name}: ${value}`),
);
const body = fc.oneof(
  fc.constantFrom(
    'author=a&receiver=b&message=x',
    'author=%zz',
    '{"author":1e999}',
    '{"a":',
    `{"a":${'['.repeat(500)}`,
    "<message xmlns='jabber:client'><body>x</body></message>",
    '5\r\nhello\r\n0\r\n\r\n',
    'FFFFFFFFFFFFFFFF\r\n',
    '5;x=y\r\nhello\r\n0\r\nX: y\r\n\r\n',
    '',
  ),
  fc.uint8Array({ maxLength: 200 }).map((bytes) => Buffer.from(bytes).toString('latin1')),
);
const request = fc.tuple(line, fc.array(header, { maxLength: 8 }), body, fc.boolean()).map(([first, headers, content, fits]) => {
  const length = fits ? [`Content-Length: ${Buffer.byteLength(content, 'latin1')}`, 'Host: 127.0.0.1'] : [];
  return `${[first, ...headers, ...length].join('\r\n')}\r\n\r\n${content}`;
});
const requests = fc.array(request, { minLength: 1, maxLength: 30 }).map((all) => Buffer.from(all.join(''), 'latin1'));

/** Sends bytes in pieces, then ends or resets the connection; resolves when it has ended. */
function provoke(port: number, pieces: readonly Buffer[], { hangsUp }: { readonly hangsUp: boolean }): Promise<void> {
  return new Promise((resolve) => {
    const socket = connect({ port, host: '127.0.0.1', noDelay: true });
    socket.on('error', () => undefined).once('close', () => resolve());
    socket.resume();
    for (const piece of pieces) socket.write(piece);
    if (hangsUp) socket.resetAndDestroy();
    else socket.end();
  });
}

describe.each(fronts)('%s', (_, start) => {
  test(
    'ends every connection and continues, for any input',
    async () => {
      await using front = await start();
      const survives = fc.asyncProperty(requests, cuts, fc.boolean(), async (bytes, parts, hangsUp) => {
        await provoke(front.port, cutAt(bytes, parts), { hangsUp });
        expect(front.faults).toEqual([]);
      });
      const before = process.memoryUsage().heapUsed;
      await fc.assert(survives, effort(200));
      expect(process.memoryUsage().heapUsed - before).toBeLessThan(256 * 1024 * 1024);
      const answer = await fetch(`http://127.0.0.1:${front.port}/nowhere`, { method: 'POST', body: 'x' });
      expect(answer.status).toBeGreaterThanOrEqual(400);
      expect(answer.status).toBeLessThan(500);
    },
    fuzzTimeoutMs,
  );
});
