/** The pusher of MongooseIM as a source of the built service: the bytes sent by MongooseIM 6.8. */
import { describe, expect, test } from 'vitest';
import { eventually } from '../support/eventually.ts';
import { openHttpConnection } from '../support/http-connection.ts';
import { createPusher } from '../support/pusher.ts';
import { type Script, startTarget } from '../support/target.ts';

/** As captured; alice writes to bob: plain text, then text that needs escapes, then with JIDs in mixed case. */
const captured = {
  plain: `POST / HTTP/1.1\r\nHost: 127.0.0.1:38000\r\nContent-Length: 63\r\ncontent-type: application/x-www-form-urlencoded\r\n\r\nauthor=alice&server=localhost&receiver=bob&message=Hi%2C+Bob%21`,
  escaped: `POST / HTTP/1.1\r\nHost: 127.0.0.1:38000\r\nContent-Length: 104\r\ncontent-type: application/x-www-form-urlencoded\r\n\r\nauthor=alice&server=localhost&receiver=bob&message=%C5%BC%C3%B3%C5%82%C4%87%20%F0%9F%98%80+a%2Bb%26c%3Dd`,
  mixedCase: `POST / HTTP/1.1\r\nHost: 127.0.0.1:38000\r\nContent-Length: 61\r\ncontent-type: application/x-www-form-urlencoded\r\n\r\nauthor=alice&server=localhost&receiver=bob&message=Mixed+Case`,
};

/** 503: the disk was busy for 50 ms, and the message is pushed when it is stored. */
const accepted = [200, 503];

const seeing = `
export const prepareHeaders = () => [['content-type', 'application/json']];
export const prepareBody = ({ acc, dir, packet, from, to, opts, ...rest }) =>
  JSON.stringify({ acc, dir, packet: packet.xml, ...rest });
`;

async function startRig({ script, listen = '127.0.0.1:0' }: { readonly script?: Script; readonly listen?: string } = {}) {
  const backend = await startTarget(script === undefined ? {} : { script });
  const pusher = await createPusher({
    config: `
[attach.mim]
type = "http"
listen = "${listen}"
[outgoing_pools.http.http_pool.connection]
host = "${backend.origin}"
[[modules.mod_event_pusher.http.handlers]]
path = "/form"
[[modules.mod_event_pusher.http.handlers]]
path = "/seen"
callback_module = "seeing"
`,
    files: { 'seeing.mjs': seeing },
  });

  /** The port of this start. */
  async function port(): Promise<number> {
    const { msg } = await pusher.said((line) => line.event === 'notice' && line.msg.includes('mim accepts posts'));
    return Number(new URL(/http:\S+/.exec(msg)?.[0] ?? '').port);
  }

  return {
    backend,
    pusher,
    connect: async () => openHttpConnection(await port()),
    bodies: (path: string) => backend.requests.filter((request) => request.path === path).map(({ body }) => body.toString()),
    [Symbol.asyncDispose]: async () => {
      await pusher[Symbol.asyncDispose]();
      await backend.stop();
    },
  };
}

describe('a post of MongooseIM', () => {
  test('reaches the backend in the format of MongooseIM', async () => {
    await using rig = await startRig();
    await rig.pusher.start();
    using mongooseim = await rig.connect();
    for (const bytes of Object.values(captured)) {
      mongooseim.send(bytes);
      expect((await mongooseim.answer())?.status).toBeOneOf(accepted);
    }

    await eventually(() => rig.bodies('/form').length === 3);
    expect(rig.bodies('/form')).toEqual([
      'author=alice&server=localhost&receiver=bob&message=Hi%2C+Bob%21',
      'author=alice&server=localhost&receiver=bob&message=%C5%BC%C3%B3%C5%82%C4%87+%F0%9F%98%80+a%2Bb%26c%3Dd', // which decodes to the same
      'author=alice&server=localhost&receiver=bob&message=Mixed+Case',
    ]);
  });

  test('is an incoming chat message for callbacks', async () => {
    await using rig = await startRig();
    await rig.pusher.start();
    using mongooseim = await rig.connect();
    mongooseim.send(captured.plain);

    await eventually(() => rig.bodies('/seen').length === 1);
    const seen = JSON.parse(rig.bodies('/seen')[0] ?? '');
    expect(seen).toMatchObject({ dir: 'in', host: 'localhost', sender: 'alice', receiver: 'bob', message: 'Hi, Bob!' });
    expect(seen.acc).toMatchObject({ host: 'localhost', origin: 'mim', kind: 'message', id: expect.any(String) });
    for (const unknown of ['session', 'sessions', 'stanzaId', 'delayed']) expect(seen.acc).not.toHaveProperty(unknown);
    expect(seen.acc.time).toBe(seen.acc.receivedAt);
    expect(seen.packet).toBe(
      `<message xmlns="jabber:client" type="chat" id="${seen.acc.id}" from="alice@localhost" to="bob@localhost"><body>Hi, Bob!</body></message>`,
    );
  });

  test('is counted like a feed, and its listener is shown as attached', async () => {
    await using rig = await startRig();
    await rig.pusher.start();
    using mongooseim = await rig.connect();
    mongooseim.send(captured.plain);
    mongooseim.send(captured.mixedCase.replace('server=localhost', 'server=elsewher1'));
    expect((await mongooseim.answer())?.status).toBeOneOf(accepted);
    expect((await mongooseim.answer())?.status).toBe(403);

    const { text } = await rig.pusher.get('/metrics');
    expect(text).toContain('event_pusher_attached{attachment="mim",host="localhost"} 1\n');
    expect(text).toContain('event_pusher_events_received_total{attachment="mim"} 2\n');
    expect(text).toContain('event_pusher_packets_total{host="localhost",direction="in"} 1\n');
    expect(text).toContain('event_pusher_skipped_total{attachment="mim",reason="unknown-host"} 1\n');
    const ready = await rig.pusher.get('/readyz');
    expect(JSON.parse(ready.text).checks).toContainEqual({ name: 'attachment mim, host localhost', ready: true, reason: '' });
    expect(await rig.pusher.stop()).toBe(0);
  });

  test('is not lost in a crash after a 200', async () => {
    let up = false;
    await using rig = await startRig({ script: () => ({ kind: 'answer', status: up ? 200 : 503 }) });
    await rig.pusher.start();
    using mongooseim = await rig.connect();
    let status: number | undefined;
    do {
      mongooseim.send(captured.plain);
      status = (await mongooseim.answer())?.status;
    } while (status === 503);
    expect(status).toBe(200);
    await rig.pusher.kill();

    up = true;
    const before = rig.bodies('/form').length;
    await rig.pusher.start();
    await eventually(() => rig.bodies('/form').length > before);
  });
});

test('a listener whose address is in use aborts the start with a hint', async () => {
  await using other = await startTarget();
  await using rig = await startRig({ listen: `127.0.0.1:${other.port}` });
  rig.pusher.launch();
  expect(await rig.pusher.ended()).toBe(1);
  expect(rig.pusher.stderr()).toContain(
    `cannot listen on 127.0.0.1:${other.port}: another program listens there; stop it, or change [attach.mim] listen`,
  );
});
