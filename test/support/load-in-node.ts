import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { createContexts } from '../../src/hooks/context.ts';
import { loadHandlers } from '../../src/hooks/load.ts';
import { makeHandlerConfig } from './make-handler.ts';
import { makePacket } from './make-packet.ts';

/** Results of a module's callbacks for the default packet, or the error of loading it. */
export type Loaded =
  | { readonly wanted: boolean; readonly headers: unknown; readonly body: unknown }
  | { readonly code: string; readonly message: string };

/**
 * Loads each module in a separate Node process with Node's own `import`: the test runner's `import` resolves modules and reports
 * errors differently.
 */
export async function loadInNode(urls: readonly string[]): Promise<Loaded[]> {
  const arguments_ = ['--import', 'tsx', fileURLToPath(import.meta.url), ...urls];
  const { stdout } = await promisify(execFile)(process.execPath, arguments_);
  return JSON.parse(stdout);
}

async function load(url: string): Promise<Loaded> {
  const config = makeHandlerConfig({ callbackModule: 'own', module: { kind: 'url', url } });
  const [handler] = await loadHandlers([config]);
  if (handler === undefined) throw new Error('expected a handler');

  const context = createContexts()(makePacket());
  const prepared = context.requestPrepared(handler);
  const { shouldMakeReq, prepareHeaders, prepareBody } = handler.callbacks;
  return {
    wanted: await shouldMakeReq(context.packetAsked(handler)),
    headers: await prepareHeaders(prepared),
    body: await prepareBody(prepared),
  };
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const outcomes = process.argv.slice(2).map((url) => load(url).catch(({ code, message }) => ({ code, message })));
  process.stdout.write(JSON.stringify(await Promise.all(outcomes)));
}
