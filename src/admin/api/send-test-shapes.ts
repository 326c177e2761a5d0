/** The question and the answer of a test. */
import { z } from 'zod';
import { section, text } from '../../config/values.ts';
import { outcomeShape } from './outcome.ts';

export const testQuestion = section({ handler: text });

export const testShape = z.object({
  id: z.string(),
  method: z.string(),
  url: z.string(),
  outcome: outcomeShape,
  accepted: z.boolean(),
  /** Why it was not accepted, as the handler's callbacks have it where it has any; empty if it was. */
  reason: z.string(),
});
