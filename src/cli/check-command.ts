import type { Config } from '../config/config.ts';
import { readEnvironment } from '../config/environment.ts';
import { loadConfig } from '../config/load.ts';
import { ConfigInvalid } from '../config/mistakes.ts';
import { orphanWarnings } from '../config/notices.ts';
import { createMask } from '../config/secrets.ts';
import { loadExits } from '../hooks/exit-modules.ts';
import { loadHandlers } from '../hooks/load.ts';
import { ServiceError, toError } from '../kit/errors.ts';
import { readInfo } from '../spool/inspect.ts';
import { checkAsJson, renderCheck } from './check.ts';

/** Validates, loads the callback modules, prints what the service would run with. Throws what is wrong. */
export async function checkCommand({ file, json }: { readonly file: string; readonly json: boolean }): Promise<number> {
  if (json) return checkForScripts(file);
  process.stdout.write(renderCheck(await loadChecked(file)));
  return 0;
}

/** Adds warnings about the backlog on disk to the notices. */
async function loadChecked(file: string): Promise<Config> {
  const config = await loadConfig(file, readEnvironment());
  const handlers = await loadModules(config);
  return { ...config, notices: [...config.notices, ...handlers.flatMap(uncalledBy), ...noticesOfSpool(config)] };
}

type LoadedHandler = Awaited<ReturnType<typeof loadHandlers>>[number];

/** For who meant one of them to be called. */
function uncalledBy({ config: { name, callbackModule }, uncalled }: LoadedHandler): readonly string[] {
  if (uncalled.length === 0) return [];
  return [`handler ${name}: ${callbackModule} exports functions that are not callbacks and are never called: ${uncalled.join(', ')}`];
}

/** An unreadable spool is not a mistake: the user who checks a configuration may have no permission to read the spool. */
function noticesOfSpool(config: Config): readonly string[] {
  const { engine, path } = config.spool;
  try {
    return engine === 'memory' ? [] : orphanWarnings(readInfo(path)?.queues ?? [], config);
  } catch (thrown) {
    return [`the backlog on disk was not checked: ${toError(thrown).message}`];
  }
}

/** An import error of a module may quote a secret, so the error has neither its text nor a cause. */
async function loadModules({ handlers, attachments, redacted }: Config): Promise<readonly LoadedHandler[]> {
  try {
    const loaded = await loadHandlers(handlers);
    await loadExits(attachments);
    return loaded;
  } catch (thrown) {
    if (!(thrown instanceof ServiceError)) throw thrown;
    throw new ServiceError(thrown.code, createMask(redacted)(thrown.message));
  }
}

/** The same as JSON on standard output, the mistakes too. */
async function checkForScripts(file: string): Promise<number> {
  try {
    print(checkAsJson(await loadChecked(file)));
    return 0;
  } catch (thrown) {
    if (!(thrown instanceof ConfigInvalid)) throw thrown;
    print({ mistakes: thrown.mistakes });
    return 1;
  }
}

function print(value: unknown): void {
  process.stdout.write(`${JSON.stringify(value, null, 2)}\n`);
}
