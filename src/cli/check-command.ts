import { readEnvironment } from '../config/environment.ts';
import { loadConfig } from '../config/load.ts';
import { ConfigInvalid } from '../config/mistakes.ts';
import { loadExits, loadHandlers } from '../hooks/load.ts';
import { checkAsJson, renderCheck } from './check.ts';

/** Validates, loads the callback modules, prints what the service would run with. Throws what is wrong. */
export async function checkCommand({ file, json }: { readonly file: string; readonly json: boolean }): Promise<number> {
  if (json) return checkForScripts(file);
  const config = await loadConfig(file, readEnvironment());
  await loadHandlers(config.handlers);
  await loadExits(config.attachments);
  process.stdout.write(renderCheck(config));
  return 0;
}

/** The same as JSON on standard output, the mistakes too. */
async function checkForScripts(file: string): Promise<number> {
  try {
    const config = await loadConfig(file, readEnvironment());
    await loadHandlers(config.handlers);
    await loadExits(config.attachments);
    print(checkAsJson(config));
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
