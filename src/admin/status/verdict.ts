/**
 * The verdict: what is wrong, worst first, in at most five lines. A line says what, since when, the last error, how many wait and the
 * oldest, the time until loss, and what happens next by itself. Pure: the facts come in.
 */
import type { EpochMs } from '../../kit/clock.ts';
import { attachmentFindings } from './attachment-findings.ts';
import type { Facts } from './facts.ts';
import { type Finding, type Level, nothingMore } from './finding.ts';
import { poolFindings } from './pool-findings.ts';
import { spoolFindings } from './spool-findings.ts';
import { amount, perSecond, span } from './wording.ts';

export interface VerdictLine extends Finding {
  /** The whole line as one sentence. */
  readonly text: string;
}

export interface Verdict {
  readonly level: Level | 'well';
  /** The first line, or that all is well. */
  readonly headline: string;
  readonly lines: readonly VerdictLine[];
  /** Number of findings beyond the lines. */
  readonly more: number;
}

const mostLines = 5;

export function verdictOf(facts: Facts): Verdict {
  const found = [...serviceFindings(facts), ...spoolFindings(facts), ...attachmentFindings(facts), ...poolFindings(facts)];
  const ordered = found.toSorted((one, other) => weight[other.level] - weight[one.level] || other.waiting - one.waiting);
  const lines = ordered.slice(0, mostLines).map((finding) => ({ ...finding, text: sentence(finding, facts.now) }));
  const [first] = lines;
  return {
    level: first?.level ?? 'well',
    headline: first === undefined || first.level === 'notice' ? allWell(facts) : first.text,
    lines,
    more: ordered.length - lines.length,
  };
}

const weight: Readonly<Record<Level, number>> = { critical: 2, warning: 1, notice: 0 };

function allWell({ now, flow, pools }: Facts): string {
  const oldest = pools.flatMap(({ oldestAt }) => oldestAt ?? []);
  const age = oldest.length === 0 ? 'nothing waiting' : `oldest ${span(now - Math.min(...oldest))}`;
  return `All well, ${perSecond(flow.delivered)}, ${age}`;
}

function serviceFindings({ draining, reload, orphaned, now }: Facts): readonly Finding[] {
  const about = { ...nothingMore, subject: { kind: 'service' } } as const;
  return [
    ...(draining
      ? [{ ...about, level: 'warning', what: 'the service is stopping', next: 'it ends after its requests in flight' } as const]
      : []),
    ...(reload?.result === 'refused' && now - reload.at < 86_400_000
      ? [
          {
            ...about,
            level: 'warning',
            what: 'the last reload was refused: the previous configuration runs',
            since: reload.at,
            error: { text: reload.reason, at: reload.at },
          } as const,
        ]
      : []),
    ...(orphaned > 0
      ? [{ ...about, level: 'warning', what: 'deliveries of a handler that is not configured', waiting: orphaned } as const]
      : []),
  ];
}

function sentence({ what, since, error, waiting, oldestAt, loss, next }: Finding, now: EpochMs): string {
  const parts = [
    since === null ? what : `${what} for ${span(now - since)}`,
    error === null ? '' : `last error: ${error.text}`,
    waiting === 0 ? '' : `${amount(waiting)} waiting`,
    waiting === 0 || oldestAt === null ? '' : `oldest ${span(now - oldestAt)}`,
    loss?.text ?? '',
    next,
  ];
  return parts.filter((part) => part !== '').join(', ');
}
