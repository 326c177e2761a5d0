import type { z } from 'zod';
import { anyText, flag, oneOf, section, text, wait } from './values.ts';

/** Who is asked before a handler pushes. */
export const beforePush = section({
  enabled: flag.default(true),
  /** Default: the handler's own. */
  pool_name: text.optional(),
  path: anyText.default(''),
  timeout: wait.default(5000),
  on_failure: oneOf(['continue', 'refuse']).default('continue'),
});

export type BeforePushSection = z.output<typeof beforePush>;
