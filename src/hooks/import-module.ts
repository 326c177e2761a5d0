import { systemTimers, within } from '../kit/clock.ts';

/** Time for the top-level `await` of a module, ms. */
const importTimeoutMs = 30_000;

/** Imports a user's module. Rejects if its top-level `await` does not end: otherwise a start or a reload would wait for it forever. */
export async function importInTime(url: string, timeoutMs = importTimeoutMs): Promise<object> {
  const imported: Promise<object> = import(url);
  if (await within(imported, timeoutMs, systemTimers)) return imported;
  throw new Error(`its top-level await did not end within ${timeoutMs / 1000} s`);
}
