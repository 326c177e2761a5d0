import { createServer } from 'node:net';
import { expect, test } from 'vitest';
import { systemClock, systemTimers } from '../../src/kit/clock.ts';
import type { Resolve } from '../../src/kit/dial-tcp.ts';
import { ComponentStream } from '../../src/sources/component/stream.ts';
import type { StreamEnd } from '../../src/sources/xmpp-stream.ts';
import { attachmentTo } from '../support/component-source.ts';
import { startSlowListener } from '../support/slow-listener.ts';

/** A host with IPv4 and IPv6. */
const both: Resolve = (_name, _options, found) => {
  found(null, [
    { address: '127.0.0.1', family: 4 },
    { address: '::1', family: 6 }, // no listener
  ]);
};

test('a server with IPv4 and IPv6 whose handshake takes longer than 250 ms is reached', async () => {
  await using server = await startSlowListener();
  const ended = endOf(server.port);
  setTimeout(server.accept, 600); // the handshake's own delay
  expect((await ended).reason).toContain('check that an XMPP server answers there'); // it is an HTTP server, and has answered
});

test('if no address of a host can be reached, the reason names the error of each', async () => {
  const { kind, reason } = await endOf(await closedPort());
  expect(kind).toBe('failed');
  expect(reason).toMatch(/ECONNREFUSED 127\.0\.0\.1:\d+; .*E[A-Z]+.* ::1/);
});

function endOf(port: number): Promise<StreamEnd> {
  const options = { ...attachmentTo({ connectTimeoutMs: 60_000 }), pingTo: 'localhost', clock: systemClock, timers: systemTimers };
  const ignore = () => undefined;
  return new Promise((onEnd) => {
    const listener = { onUp: ignore, onStanza: ignore, onUnreadable: ignore, onRead: ignore, onEnd };
    new ComponentStream({ ...options, service: { host: 'chat.example', port }, resolve: both }, listener);
  });
}

async function closedPort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  return typeof address === 'object' && address !== null ? address.port : 0;
}
