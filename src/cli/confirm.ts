import { createInterface } from 'node:readline/promises';
import { ServiceError } from '../kit/errors.ts';

/** Asks at the terminal before something is gone for good. Where nobody can answer, --yes must have said so: throws USAGE. */
export async function confirm(question: string): Promise<boolean> {
  const terminal = createInterface({ input: process.stdin, output: process.stderr });
  try {
    const answer = await terminal.question(`${question} [y/N] `);
    return /^y(es)?$/i.test(answer.trim());
  } finally {
    terminal.close();
  }
}

/** Throws USAGE where a question could not be answered. */
export function refuseUnasked(): void {
  if (process.stdin.isTTY !== true)
    throw new ServiceError('USAGE', 'this removes for good, and nobody is there to ask: add --yes, or --dry-run to count');
}
