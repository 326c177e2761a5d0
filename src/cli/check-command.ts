import { readEnvironment } from '../config/environment.ts';
import { loadConfig } from '../config/load.ts';
import { loadHandlers } from '../hooks/load.ts';
import { checkAsJson, renderCheck } from './check.ts';

/** Validates, loads the callback modules, prints what the service would run with. Throws what is wrong. */
export async function checkCommand({ file, json }: { readonly file: string; readonly json: boolean }): Promise<number> {
  const config = await loadConfig(file, readEnvironment());
  await loadHandlers(config.handlers);
  process.stdout.write(json ? `${JSON.stringify(checkAsJson(config), null, 2)}\n` : renderCheck(config));
  return 0;
}
