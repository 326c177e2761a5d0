import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import type { CallbackFailure, KeyedOutcome } from '../../pools/contract.ts';
import { loadConfig } from '../../src/config/load.ts';
import { loadHandlers } from '../../src/hooks/load.ts';
import type { DispositionKind } from '../../src/model/attempt.ts';
import { makeThreadSettings } from './make-job.ts';
import { serveHere } from './pool-thread.ts';
import { makeMessageJob } from './session-rig.ts';

export interface DeliveredInNode {
  readonly judged: KeyedOutcome;
  readonly failures: readonly CallbackFailure[];
}

/**
 * Delivers one message by the first handler of a configuration file to `origin` in a separate Node process, where Node itself
 * imports the callback modules instead of the test runner.
 */
export async function deliverInNode(
  file: string,
  origin: string,
  disposition: DispositionKind,
): Promise<DeliveredInNode & { readonly stderr: string }> {
  const arguments_ = ['--import', 'tsx', fileURLToPath(import.meta.url), file, origin, disposition];
  const { stdout, stderr } = await promisify(execFile)(process.execPath, arguments_);
  return { ...JSON.parse(stdout), stderr };
}

async function deliver(file: string, origin: string, disposition: DispositionKind): Promise<DeliveredInNode> {
  const [handler] = await loadHandlers((await loadConfig(file, { PUSHER_SECRET: 'secret' })).handlers);
  if (handler?.config.module.kind !== 'url') throw new Error('expected a handler with a module of its own');
  const { config, opts } = handler;
  const handlers = [{ name: config.name, url: config.module.kind === 'url' ? config.module.url : '', opts }];
  await using thread = serveHere(makeThreadSettings({ origin, workers: 1, handlers }));

  const judged = await thread.judge(makeMessageJob({ message: { handler: config.name } }));
  thread.dispose(1, disposition);
  await thread.stop();
  return { judged, failures: thread.failures };
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const [file = '', origin = '', disposition = ''] = process.argv.slice(2);
  process.stdout.write(JSON.stringify(await deliver(file, origin, disposition as DispositionKind)));
}
