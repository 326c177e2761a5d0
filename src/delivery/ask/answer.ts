/** Reads the answer of a business server to a question, in the format of OpenIM webhooks. */
import { deepFreeze } from '../../kit/deep-freeze.ts';
import { asMap, asObject, readJson } from '../../kit/json.ts';
import type { Outcome } from '../../model/attempt.ts';
import type { Answered, AskFailure, OfflinePushInfo } from '../../model/delivery.ts';
import { notAsked } from './deadlines.ts';

/** Result of a question. */
type AskAnswer =
  | Extract<Answered, { kind: 'allowed' }>
  | ({ readonly kind: 'withheld' } & ReportedError)
  /** Its list of receivers is invalid. A push could reach an excluded user, so nothing is pushed. */
  | ({ readonly kind: 'misnamed' } & ReportedError)
  /** There was no valid answer. */
  | ({ readonly kind: 'failed'; readonly reason: AskFailure } & ReportedError);

/** The error that the server reports; null and empty if absent. */
export interface ReportedError {
  /** 5000 to 9999 by the rules of OpenIM; kept as received. */
  readonly errCode: number | null;
  readonly errMsg: string;
  readonly errDlt: string;
}

/** An answer that does not follow the format of OpenIM is a failure. */
export function readAnswer(outcome: Outcome): AskAnswer {
  switch (outcome.kind) {
    case 'answered':
      if (outcome.status < 200 || outcome.status > 299) return failed('bad-status');
      return outcome.truncated ? failed('bad-answer') : readBody(outcome.body ?? '');
    case 'broken':
      return failed('broken');
    case 'timed-out':
      return failed('timed-out');
    case 'unreachable':
      return failed('unreachable');
    case 'unsent':
      return failed(outcome.code === notAsked ? 'not-asked' : 'broken');
    case 'refused':
    case 'sent':
      return failed('broken'); // outcomes of messages to users, never of a question
    default:
      return outcome satisfies never;
  }
}

export const noReportedError: ReportedError = { errCode: null, errMsg: '', errDlt: '' };

function failed(reason: AskFailure, reported: ReportedError = noReportedError): AskAnswer {
  return { kind: 'failed', reason, ...reported };
}

function readBody(body: string): AskAnswer {
  const read = readJson(body);
  const answer: Partial<Fields> | undefined = read.kind === 'read' ? asObject(read.value) : undefined;
  if (answer === undefined) return failed('bad-answer');
  const { actionCode, nextCode, userIDList, offlinePushInfo } = answer;

  const reported = reportedErrorIn(answer);
  const next = codeOf(nextCode ?? '');
  if (next === '1') return { kind: 'withheld', ...reported };
  const action = codeOf(actionCode ?? 0);
  if (action === undefined || action === '') return failed('bad-answer', reported);
  if (action !== '0') return failed('action-code', reported);

  const receivers = listOf(userIDList);
  if (receivers === 'malformed') return { kind: 'misnamed', ...reported };
  const info = infoOf(offlinePushInfo);
  if (next === undefined || info === 'malformed') return failed('bad-answer', reported);
  return { kind: 'allowed', userIDList: receivers, offlinePushInfo: info };
}

type Fields = Readonly<Record<'actionCode' | 'errCode' | 'errDlt' | 'errMsg' | 'nextCode' | 'offlinePushInfo' | 'userIDList', unknown>>;

/** A code can be a number or text; undefined for any other value. */
function codeOf(value: unknown): string | undefined {
  if (typeof value === 'number') return String(value);
  return typeof value === 'string' ? value.trim() : undefined;
}

function reportedErrorIn({ errCode, errMsg, errDlt }: Partial<Fields>): ReportedError {
  const code = codeOf(errCode);
  return {
    errCode: code !== undefined && /^-?\d{1,15}$/.test(code) ? Number(code) : null,
    errMsg: typeof errMsg === 'string' ? errMsg : '',
    errDlt: typeof errDlt === 'string' ? errDlt : '',
  };
}

function listOf(value: unknown): readonly string[] | 'malformed' | undefined {
  if (value === undefined || value === null) return undefined;
  if (!Array.isArray(value) || value.length > maxReceivers || !value.every((item) => typeof item === 'string')) return 'malformed';
  return value;
}

/** Maximum number of receivers; each gets a separate push. */
const maxReceivers = 10_000;

function infoOf(value: unknown): OfflinePushInfo | 'malformed' | undefined {
  if (value === undefined || value === null) return undefined;
  const info = asMap(value);
  return info !== undefined && isShallow(info, maxInfoDepth) ? deepFreeze({ ...info }) : 'malformed';
}

/** Maximum nesting of `offlinePushInfo`: enough for a notification, and deep values could not be stored. */
const maxInfoDepth = 16;

function isShallow(value: unknown, levels: number): boolean {
  if (typeof value !== 'object' || value === null) return true;
  return levels > 0 && Object.values(value).every((part) => isShallow(part, levels - 1));
}
