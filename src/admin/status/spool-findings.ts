/** What is wrong with the disk. */
import type { Facts } from './facts.ts';
import { type Finding, nothingMore } from './finding.ts';
import { percent, span } from './wording.ts';

const hourMs = 3_600_000;

export function spoolFindings({ spool, now, flow }: Facts): readonly Finding[] {
  const about = { ...nothingMore, subject: { kind: 'spool' } } as const;
  const findings: Finding[] = [];
  if (!spool.writable) {
    const next = `chat servers keep their events until their queues are full${flow.tapFill > 0 ? ` (${percent(flow.tapFill)})` : ''}`;
    const error = spool.reason === '' ? null : { text: spool.reason, at: spool.refusesSince ?? now };
    findings.push({ ...about, level: 'critical', what: 'intake is stopped', since: spool.refusesSince, error, next });
  } else if (spool.fullInMs !== null && spool.fullInMs < 24 * hourMs) {
    const level = spool.fullInMs < hourMs ? 'critical' : 'warning';
    const loss = { inMs: spool.fullInMs, text: `intake then stops` };
    findings.push({ ...about, level, what: `the spool is full in ${span(spool.fullInMs)}`, loss });
  }
  if (spool.loss !== '')
    findings.push({
      ...about,
      level: 'warning',
      what: 'the last commits before the start may be lost',
      error: { text: spool.loss, at: now },
    });
  return findings;
}
