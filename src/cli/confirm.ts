import { once } from 'node:events';
import { createInterface } from 'node:readline/promises';
import { ServiceError } from '../kit/errors.ts';

/** Asks at the terminal before something is gone for good. */
export async function confirm(question: string): Promise<boolean> {
  const terminal = createInterface({ input: process.stdin, output: process.stderr });
  try {
    const closed = once(terminal, 'close').then(() => ''); // Ctrl-C and Ctrl-D are no answer
    const answer = await Promise.race([terminal.question(`${question} [y/N] `), closed]);
    return /^y(es)?$/i.test(answer.trim());
  } finally {
    terminal.close();
  }
}

/** Throws USAGE where nobody could answer: there --yes must say so beforehand. */
export function refuseUnasked(): void {
  if (process.stdin.isTTY !== true)
    throw new ServiceError('USAGE', 'this removes for good, and nobody is there to ask: add --yes, or --dry-run to count');
}
