import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { startTapServer } from '../demo/tap-server.ts';
import * as api from '../dist/src/index.js';
import { chat } from './support/component-source.ts';
import { startTarget } from './support/target.ts';

test('exports only the API for programs that embed the service', () => {
  expect(Object.keys(api).sort()).toEqual(['ConfigInvalid', 'ServiceError', 'createService', 'errorCodes', 'loadConfig']);
});

test('a program can embed the service, hear its events, and stop it', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'embedded-'));
  const server = await startTapServer({ host: 'localhost', domain: 'pusher.localhost', secret: 's3cret' });
  await using backend = await startTarget();
  await writeFile(join(folder, 'event-pusher.toml'), configuration({ port: server.port, origin: backend.origin }));

  const service = api.createService(await api.loadConfig(join(folder, 'event-pusher.toml'), {}), { onFailed: () => undefined });
  const settled = service.events.next('delivery.settled');
  await service.start();
  server.push(chat('Hi'), { dir: 'in', session: 'alice@localhost/phone' });
  expect(await settled).toMatchObject({ disposition: 'delivered', host: 'localhost' });
  expect(backend.requests).toHaveLength(1);

  await service.stop();
  await server.close();
  await rm(folder, { recursive: true });
});

function configuration({ port, origin }: { readonly port: number; readonly origin: string }): string {
  return `
[general]
hosts = ["localhost"]
loglevel = "none"
[admin]
listen = "127.0.0.1:0"
[spool]
path = "spool.sqlite"
[attach.chat]
type = "component"
service = "xmpp://127.0.0.1:${port}"
domain = "pusher.localhost"
secret = "s3cret"
[outgoing_pools.http.http_pool.connection]
host = "${origin}"
[modules.mod_event_pusher.backend.http]
`;
}
