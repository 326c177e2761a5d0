import { describe, expect, test } from 'vitest';
import { load } from './write-config.ts';

const withPool = (host: string, followUp: string) => `
[general]
hosts = ["localhost"]
[outgoing_pools.http.http_pool.connection]
host = "${host}"
[modules.mod_event_pusher.backend.http.follow_up]
${followUp}
`;

describe('a handler with follow_up', () => {
  test.each([
    ['http://localhost:8000', 'localhost:8000'],
    ['http://backend.example', 'backend.example:80'],
    ['https://backend.example', 'backend.example:443'],
    ['http://[::1]:8000', '[::1]:8000'],
  ])('by default lets the backend %s order requests to itself', async (host, allowed) => {
    const { handlers } = await load(withPool(host, ''));
    const followUp = { allow: [allowed], ownOrigin: host, maxDepth: 10, replyFrom: undefined, defaultHost: undefined };
    expect(handlers.map((handler) => handler.followUp)).toEqual([followUp]);
  });

  test('sets destinations, depth and sender', async () => {
    const { handlers } = await load(
      withPool(
        'http://a.example',
        'allow = ["*.b.example", "10.0.0.0/8:80"]\nmax_depth = 2\nreply_from = "bot@c.example"\ndefault_host = "C.example"',
      ),
    );
    expect(handlers[0]?.followUp).toMatchObject({
      allow: ['*.b.example', '10.0.0.0/8:80'],
      maxDepth: 2,
      replyFrom: 'bot@c.example',
      defaultHost: 'c.example',
    });
  });

  test('adds two built-in pools without an origin and without a circuit breaker', async () => {
    const { pools } = await load(withPool('http://a.example', ''));
    expect(pools.map(({ id, origin, client, circuitBreaker }) => [id, origin, client, circuitBreaker?.minAttempts])).toEqual([
      ['http_pool', 'http://a.example', 'undici', 20],
      ['follow_up', '', 'got', undefined],
      ['follow_up_messages', '', 'got', undefined],
    ]);
  });

  test('is ignored if it is not enabled', async () => {
    const { pools, handlers } = await load(withPool('http://a.example', 'enabled = false'));
    expect([pools.length, handlers[0]?.followUp]).toEqual([1, undefined]);
  });
});
