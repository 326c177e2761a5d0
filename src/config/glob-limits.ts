/** Limits on the globs of all handlers together, so that one packet cannot block the thread that evaluates it. */
import type { WhenSection } from './handler.ts';
import type { Path } from './mistakes.ts';
import type { SectionReader } from './section-reader.ts';

/**
 * A step is the time of a glob without `?` for one character, at most 8 ns for the most hostile texts. 500 take up to 4 s for the
 * largest body of 1 MiB and 0.4 ms for one of 100 characters; 20 000 take up to half a second for the longest JID (3071 bytes).
 */
const limits = {
  text: { keys: ['text'], most: 500 },
  jids: { keys: ['from', 'to', 'sender', 'room'], most: 20_000 },
} as const;

interface HandlerRules {
  readonly when: WhenSection | undefined;
  readonly path: Path;
}

/** Reports the first handler whose globs, with those of the handlers before it, exceed a limit. */
export function limitGlobs(handlers: readonly HandlerRules[], reader: SectionReader): void {
  for (const { keys, most } of Object.values(limits)) {
    let steps = 0;
    for (const { when, path } of handlers) {
      const before = steps;
      if (when !== undefined) steps += stepsOf(when, keys);
      if (steps <= most) continue;
      const named = keys.map((key) => `\`${key}\``).join(', ');
      reader.mistake([...path, 'when'], {
        received: `globs of ${steps - before} steps, after ${before} in the handlers before it`,
        expected: `at most ${most} steps for ${named} in all handlers together: 1 per glob with *, 2 and 1 per 64 characters with ?`,
        hint: 'use fewer globs, * in place of ?, or values without wildcards, which do not count',
      });
      break;
    }
  }
}

/** Nested rules count like the others: a packet may have to pass through all of them. */
function stepsOf(when: WhenSection, keys: readonly ('from' | 'room' | 'sender' | 'text' | 'to')[]): number {
  let steps = 0;
  for (const key of keys) for (const glob of when[key] ?? []) steps += stepsOfGlob(glob);
  for (const nested of [...(when.any ?? []), ...(when.not === undefined ? [] : [when.not])]) steps += stepsOf(nested, keys);
  return steps;
}

function stepsOfGlob(glob: string): number {
  if (glob.includes('?')) return 2 + Math.ceil(glob.length / 64);
  return glob.includes('*') ? 1 : 0;
}
