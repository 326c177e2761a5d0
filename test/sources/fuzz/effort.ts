import type { Parameters as Settings } from 'fast-check';

/**
 * Length of a fuzz run: a fixed number of tries from a fixed seed; with FUZZ_SECONDS that time, with FUZZ_CASES that number of tries,
 * from a new seed (or from FUZZ_SEED). A failure prints its seed and path.
 */
export function effort(tries: number): Settings<unknown> {
  const { FUZZ_SECONDS: seconds, FUZZ_CASES: cases, FUZZ_SEED: seed } = process.env;
  const settings = { endOnFailure: false, ...(seed === undefined ? {} : { seed: Number(seed) }) };
  if (cases !== undefined) return { ...settings, numRuns: Number(cases) };
  if (seconds === undefined) return { seed: 20_261_122, numRuns: tries, ...settings };
  return { ...settings, numRuns: 1_000_000_000, interruptAfterTimeLimit: Number(seconds) * 1000 };
}

/** Time limit of a test, ms. */
export const fuzzTimeoutMs = (Number(process.env['FUZZ_SECONDS'] ?? 0) + Number(process.env['FUZZ_CASES'] ?? 0) / 100 + 60) * 1000;
