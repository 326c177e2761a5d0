/** The built service with a low limit of open files, and idle connections of strangers to all listeners. */
import { connect, type Socket } from 'node:net';
import { describe, expect, test } from 'vitest';
import { eventually } from '../support/eventually.ts';
import { openHttpConnection } from '../support/http-connection.ts';
import { mongooseimPost } from '../support/http-source.ts';
import { createPusher } from '../support/pusher.ts';
import { startTarget } from '../support/target.ts';

const config = (backend: string) => `
[attach.mim]
type = "http"
listen = "127.0.0.1:0"
[attach.front]
type = "http"
listen = "127.0.0.1:0"
[[attach.front.descriptors]]
name = "STATUS"
tac = "STATUS"
[gate]
listen = "127.0.0.1:0"
[outgoing_pools.http.http_pool]
workers = 10
[outgoing_pools.http.http_pool.connection]
host = "${backend}"
[modules.mod_event_pusher.backend.http]
path = "/notifications"
`;

describe('with 256 open files and 400 idle connections attempted', () => {
  test('pushes continue, and each listener recovers after the idle timeout', async () => {
    const backend = await startTarget();
    await using pusher = await createPusher({ config: config(backend.origin), openFiles: 256 });
    await pusher.start();
    const port = async (text: string) => {
      const { msg } = await pusher.said((line) => line.event === 'notice' && line.msg.includes(text));
      return Number(/:(\d+)/.exec(msg.replace(/^.*http:/, ''))?.[1]);
    };
    const posts = await port('attachment mim accepts posts');
    const ports = [posts, await port('attachment front accepts'), await port('the gate is at'), await port('metrics and health are at')];
    using mongooseim = await openHttpConnection(posts);
    const say = async (text: string) => {
      mongooseim.send(mongooseimPost(`author=alice&server=localhost&receiver=bob&message=${text}`));
      return (await mongooseim.answer())?.status;
    };
    const statuses = [await say('before')];

    const idle: Socket[] = [];
    try {
      for (let i = 0; i < 400; i += 1) idle.push(connect(ports[i % 4] ?? 0, '127.0.0.1').on('error', () => undefined));
      for (let i = 0; i < 20; i += 1) statuses.push(await say(`during-${i}`));
      await pusher.said((line) => line.event === 'connection.refused');
      for (const status of statuses) expect(status).toBeOneOf([200, 503]); // 503: a busy disk
      await backend.received(statuses.filter((status) => status === 200).length);
      await eventually(async () => (await pusher.get('/readyz')).status === 200);
      await eventually(async () => (await fetch(`http://127.0.0.1:${ports[1]}/status`)).ok);
    } finally {
      for (const socket of idle) socket.destroy();
    }

    expect(pusher.log.filter(({ level, event }) => event === 'attempt.ended' && level !== 'debug')).toEqual([]);
    expect(pusher.log.filter(({ level }) => level === 'error' || level === 'fatal')).toEqual([]);
    const notice = pusher.log.find(({ msg }) => msg.startsWith('this process may have'));
    expect(notice?.msg).toContain('this process may have 256 open files, so each of its 4 listeners accepts at most 32 connections');
    const { text } = await pusher.get('/metrics');
    expect(text).toMatch(/event_pusher_connections_refused_total\{listener="mim",reason="max-connections"\} [1-9]/);
    expect(await pusher.stop()).toBe(0);
    await backend.stop();
  });
});
