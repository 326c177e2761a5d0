import type { Parameters as Settings } from 'fast-check';

/**
 * How long to look for trouble: a fixed number of tries from a fixed seed, or with FUZZ_SECONDS as long as that from
 * another seed each time (or from FUZZ_SEED). A failure prints its seed and path.
 */
export function effort(tries: number): Settings<unknown> {
  const { FUZZ_SECONDS: seconds, FUZZ_SEED: seed } = process.env;
  const settings = { endOnFailure: false, ...(seed === undefined ? {} : { seed: Number(seed) }) };
  if (seconds === undefined) return { seed: 20_261_122, numRuns: tries, ...settings };
  return { ...settings, numRuns: 1_000_000_000, interruptAfterTimeLimit: Number(seconds) * 1000 };
}

/** What a test may take, ms. */
export const patienceMs = (Number(process.env['FUZZ_SECONDS'] ?? 0) + 60) * 1000;
