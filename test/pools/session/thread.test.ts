import { once } from 'node:events';
import { mkdtemp, realpath, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { MessageChannel } from 'node:worker_threads';
import { Piscina } from 'piscina';
import { expect, test } from 'vitest';
import type { FromPoolThread, PoolThreadSettings, SessionHandler, ToPoolThread } from '../../../pools/contract.ts';
import { eventually } from '../../support/eventually.ts';
import { makeThreadSettings } from '../../support/make-job.ts';
import { makeMessageJob, makeSessionHandler } from '../../support/session-rig.ts';
import { startTarget } from '../../support/target.ts';

// The build: real threads cannot load .ts here.
const filename = fileURLToPath(new URL('../../../dist/pools/deliver.worker.js', import.meta.url));

async function writeModule(source: string): Promise<SessionHandler & AsyncDisposable> {
  const folder = await realpath(await mkdtemp(join(tmpdir(), 'callbacks-')));
  const path = join(folder, 'own.mjs');
  await writeFile(path, source);
  return {
    ...makeSessionHandler('notifications'),
    url: pathToFileURL(path).href,
    [Symbol.asyncDispose]: () => rm(folder, { recursive: true }),
  };
}

function startThread(settings: PoolThreadSettings) {
  const { port1: ours, port2: port } = new MessageChannel();
  const { port1: pools, port2: announced } = new MessageChannel();
  const piscina = new Piscina({ filename, minThreads: 0, maxThreads: 1, atomics: 'disabled' });
  const heard: FromPoolThread[] = [];
  ours.on('message', (message: FromPoolThread) => heard.push(message));
  const closed = once(ours, 'close').then(() => undefined);
  const failed = piscina.run({ port: announced }, { transferList: [announced] }) as Promise<never>;
  pools.postMessage({ port, settings }, [port]);
  return {
    heard,
    ended: Promise.race([failed, closed]),
    post: (message: ToPoolThread): void => ours.postMessage(message),
    [Symbol.asyncDispose]: async () => {
      ours.close();
      pools.close();
      failed.catch(() => undefined); // the thread ends in the middle of its task
      await piscina.destroy();
    },
  };
}

test('a module outside any node_modules can import the constants in a pool thread', async () => {
  await using target = await startTarget();
  await using module = await writeModule(`
    import { DELIVERY_PERMFAILED, DLV_RESPONSE_STATUS, HTTP_INTERNAL_DONE, defineCallbacks } from 'xmpp-event-pusher/callbacks';
    export default defineCallbacks({
      handleResponse({ message }) {
        message.context.set(DLV_RESPONSE_STATUS, message.packet.text('body') === 'Hi' ? '1' : '2');
        return HTTP_INTERNAL_DONE;
      },
      statusClassifier: (status) => (status === 1 ? DELIVERY_PERMFAILED : 0),
    });`);
  const { name, url, opts } = module;
  await using thread = startThread(makeThreadSettings({ origin: target.origin, handlers: [{ name, url, opts }] }));

  thread.post({ kind: 'jobs', jobs: [makeMessageJob()] });
  await eventually(() => thread.heard.length > 0);
  thread.post({ kind: 'stop' });
  await thread.ended;

  expect(thread.heard).toMatchObject([
    { kind: 'outcomes', outcomes: [{ judgement: { verdict: 'permfailed', status: 1, origin: 'module' } }] },
  ]);
});

test('a thread whose module has a syntax error ends, and reports its location', async () => {
  await using module = await writeModule('export const buildRequest = (;');
  const { name, url, opts } = module;
  await using thread = startThread(makeThreadSettings({ handlers: [{ name, url, opts }] }));

  await expect(thread.ended).rejects.toThrow(
    /^handler notifications \(notifications_module\): cannot import .*own\.mjs: SyntaxError: .*own\.mjs:1\)$/,
  );
});
