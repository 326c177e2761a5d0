import type { HttpOutcome } from '../../src/model/attempt.ts';

/** The statuses that are ours, so that a backend's own 503 is told apart; docs/guides/delivery-callbacks.md lists them. */
export const internalStatus = {
  nameNotResolved: 590,
  notConnected: 591,
  tlsFailed: 592,
  connectTimedOut: 593,
  broken: 594,
  answerTimedOut: 595,
  notHttp: 596,
  notBuilt: 597,
  notHandled: 598,
  notClassified: 599,
} as const;

/** The status of an attempt to which no answer came. */
export function troubleOf(
  outcome: Exclude<HttpOutcome, { kind: 'answered' | 'unsent' }>,
  { secure }: { readonly secure: boolean },
): number {
  switch (outcome.kind) {
    case 'broken':
      return outcome.code.startsWith('HPE_') ? internalStatus.notHttp : internalStatus.broken;
    case 'timed-out':
      return outcome.phase === 'connect' ? internalStatus.connectTimedOut : internalStatus.answerTimedOut;
    case 'unreachable':
      return unreachableStatus(outcome.code, secure);
    default:
      return outcome satisfies never;
  }
}

function unreachableStatus(code: string, secure: boolean): number {
  if (code === 'ENOTFOUND' || code.startsWith('EAI_')) return internalStatus.nameNotResolved;
  if (code === 'ETIMEDOUT') return internalStatus.connectTimedOut;
  if (hungUp.has(code)) return secure ? internalStatus.tlsFailed : internalStatus.broken; // where TLS is spoken, in its handshake
  // Node's own codes and OpenSSL's have an underscore; those of the system have none.
  return secure && (code.includes('_') || code === 'EPROTO') ? internalStatus.tlsFailed : internalStatus.notConnected;
}

const hungUp = new Set(['ECONNRESET', 'EPIPE']);
