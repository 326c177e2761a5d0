import { z } from 'zod';
import { flag, section } from '../../config/values.ts';
import { ServiceError } from '../../kit/errors.ts';
import { type ErasureReport, noProgress } from '../../spool/erasure.ts';
import { bareJid } from './bare-jid.ts';
import { refuseContentTo } from './content.ts';
import { type ApiDependencies, audit, defineRoute, type Route } from './route.ts';
import { count, instant, rfc3339, time } from './values.ts';

const cursorExpected = 'the `next` of the previous response';

const parameters = section({
  jid: bareJid,
  dryRun: flag.default(false).describe('Only count.'),
  cursor: z
    .string({ error: cursorExpected })
    .min(1, { error: cursorExpected })
    .max(100, { error: cursorExpected })
    .optional()
    .describe('Continues an erasure: the `next` of the previous response, with its `before`.'),
  before: instant.optional().describe('`held` counts only events accepted before this instant; by default the time of the call.'),
});

export const erasureShape = z.object({
  waiting: count.describe('Waiting events that this call has erased or, in a dry run, would erase.'),
  deadLetters: count,
  records: count.describe('Records of the history.'),
  withheld: count.describe('Withheld pushes in memory; not counted in a dry run.'),
  held: count.describe(
    'At the end: events that the process held, to send them at once, after a wait of 30 s. They may not be erased: repeat the erasure until it is 0.',
  ),
  file: z
    .enum(['failed', 'in-use', 'not-owner', 'rewritten', 'too-large'])
    .nullable()
    .describe(
      "Known at the end. `rewritten`: nothing of the events is left in the spool's file, or in the files of its tables in PostgreSQL. `too-large`: they were not rewritten, so unused parts may hold fragments. `in-use`: another process reads them, so the events are still in them. `not-owner`: the role of the spool does not own its tables in PostgreSQL, so they were not rewritten. `failed`: the file could not be rewritten, because disk space is short or another process writes to it.",
    ),
  next: z.string().nullable().describe('The `cursor` of the next call; null at the end. A call takes about two seconds.'),
  before: time,
});

/** The route that erases what is stored about a user. */
export function eraseRoutes({ erasure, clock, events }: ApiDependencies): readonly Route[] {
  return [
    defineRoute({
      method: 'POST',
      path: '/erase',
      summary: 'Erases all events and records of a user permanently.',
      parameters,
      response: erasureShape,
      handle: async ({ jid, dryRun, cursor, before = clock.now() }, caller) => {
        refuseContentTo(caller);
        const report = noProgress();
        try {
          await erasure.run({ jid, dryRun, cursor, before }, report);
        } catch (error) {
          const isRefused = error instanceof ServiceError && error.code === 'BAD_CURSOR';
          if (!dryRun && !isRefused) audit(events, caller, `erased ${summaryOf(report)} of a user, and then failed`);
          throw error;
        }
        if (!dryRun) audit(events, caller, `erased ${summaryOf(report)} of a user`);
        return erasureView(report, before);
      },
    }),
  ];
}

export function erasureView(report: ErasureReport, before: number): z.input<typeof erasureShape> {
  return { ...report, next: report.next ?? null, before: rfc3339(before) };
}

function summaryOf({ waiting, deadLetters, records, withheld }: ErasureReport): string {
  return `${waiting} waiting events, ${deadLetters} dead letters, ${records} records of the history and ${withheld} withheld pushes`;
}
