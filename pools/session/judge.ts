/** Judges an attempt with the callbacks of its handler: `handleResponse` sets the message's status, `statusClassifier` the verdict. */
import type { HttpOutcome, Judgement, StatusOrigin } from '../../src/model/attempt.ts';
import type { DeliveryId } from '../../src/model/delivery.ts';
import {
  DELIVERY_PERMFAILED,
  DELIVERY_SUCCESS,
  DELIVERY_TEMPFAILED,
  HTTP_INTERNAL_CONT,
  HTTP_INTERNAL_DONE,
  HTTP_INTERNAL_FAIL,
  type Session,
} from '../callbacks.ts';
import type { CallbackCaller, HandlerModule } from './handler-module.ts';
import type { Variables } from './message.ts';

/** The status of a message after an attempt. */
export type MessageStatus =
  /** A callback failed: the verdict is tempfailed, without the classifier. */
  | { readonly kind: 'callback-failed' }
  /** `DLV_RESPONSE_STATUS` is set. */
  | { readonly kind: 'set'; readonly status: number; readonly origin: StatusOrigin }
  /** The module returned HTTP_INTERNAL_DONE and set no status: delivered. */
  | { readonly kind: 'unset' };

export type Verdict = Pick<Judgement, 'origin' | 'status' | 'verdict'>;

/** The message that is judged. */
export interface JudgedMessage {
  readonly module: HandlerModule;
  readonly id: DeliveryId;
  readonly variables: Variables;
}

export class Judge {
  readonly #caller: CallbackCaller;

  constructor(caller: CallbackCaller) {
    this.#caller = caller;
  }

  /** Calls `handleResponse` for the status of the message. */
  async answered(message: JudgedMessage, session: Session, outcome: Extract<HttpOutcome, { kind: 'answered' }>): Promise<MessageStatus> {
    const { module, id, variables } = message;
    const subject = { module, callback: 'handleResponse', id } as const;
    const notHandled = (detail: string) => callbackFailed(message, internalStatus.notHandled, detail);
    const called = await this.#caller.call({ ...subject, invoke: (callbacks) => callbacks.handleResponse?.(session) });
    if (called.kind === 'failed') return notHandled(called.message);

    switch (called.value) {
      case undefined:
      case HTTP_INTERNAL_CONT:
        variables.setStatus(outcome.status, session.response.statusReason);
        return { kind: 'set', status: outcome.status, origin: 'http' };
      case HTTP_INTERNAL_DONE:
        if (variables.status === undefined) return { kind: 'unset' };
        break;
      case HTTP_INTERNAL_FAIL:
        if (variables.status === undefined) return notHandled('handleResponse returned HTTP_INTERNAL_FAIL and set no status');
        break;
      default:
        this.#caller.report(subject, new TypeError('it returned none of HTTP_INTERNAL_CONT, HTTP_INTERNAL_DONE, HTTP_INTERNAL_FAIL'));
        return notHandled('handleResponse returned no return code');
    }

    const status = statusOfModule(message);
    if (status !== undefined) return status;
    this.#caller.report(subject, new TypeError('it set DLV_RESPONSE_STATUS to a value that is not an integer'));
    return notHandled('handleResponse set a status that is not an integer');
  }

  /** Calls `statusClassifier` for the verdict on a status. */
  async verdict(message: JudgedMessage, status: MessageStatus): Promise<Verdict> {
    switch (status.kind) {
      case 'callback-failed':
        return { verdict: 'tempfailed', status: message.variables.status, origin: 'internal' };
      case 'set':
        return this.#classify(message, status);
      case 'unset':
        return { verdict: 'success', status: undefined, origin: 'module' };
      default:
        return status satisfies never;
    }
  }

  async #classify(message: JudgedMessage, { status, origin }: Extract<MessageStatus, { kind: 'set' }>): Promise<Verdict> {
    const { module, id } = message;
    if (module.callbacks.statusClassifier === undefined) return { verdict: 'unclassified', status, origin };
    const subject = { module, callback: 'statusClassifier', id } as const;
    const called = await this.#caller.call({ ...subject, invoke: (callbacks) => callbacks.statusClassifier?.(status, { origin }) });
    if (called.kind === 'failed') return this.verdict(message, callbackFailed(message, internalStatus.notClassified, called.message));

    const verdict = verdicts.get(called.value);
    if (verdict === undefined)
      this.#caller.report(subject, new TypeError('it returned none of DELIVERY_SUCCESS, DELIVERY_TEMPFAILED, DELIVERY_PERMFAILED'));
    return { verdict: verdict ?? 'tempfailed', status, origin };
  }
}

const verdicts: ReadonlyMap<unknown, Judgement['verdict']> = new Map([
  [DELIVERY_SUCCESS, 'success'],
  [DELIVERY_TEMPFAILED, 'tempfailed'],
  [DELIVERY_PERMFAILED, 'permfailed'],
]);

/** Sets the internal status of an attempt without a response, which the classifier judges. */
export function connectionFailed({ variables }: JudgedMessage, status: number, detail: string): MessageStatus {
  variables.setStatus(status, detail);
  return { kind: 'set', status, origin: 'internal' };
}

/** Sets the internal status of a failed callback. */
export function callbackFailed({ variables }: JudgedMessage, status: number, detail: string): MessageStatus {
  variables.setStatus(status, detail);
  return { kind: 'callback-failed' };
}

/** The status that the module has set; undefined if it has set none or one that is not an integer. */
export function statusOfModule({ variables }: JudgedMessage): MessageStatus | undefined {
  const { status } = variables;
  return status === undefined || Number.isNaN(status) ? undefined : { kind: 'set', status, origin: 'module' };
}

/** Statuses set by the service. Their origin `internal` distinguishes them from a backend's; listed in docs/guides/delivery-callbacks.md. */
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

/** The internal status of an attempt without a response. */
export function failureStatus(
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
  if (closedByPeer.has(code)) return secure ? internalStatus.tlsFailed : internalStatus.broken; // with TLS: during the handshake
  // Codes of Node and OpenSSL contain an underscore; those of the system do not.
  return secure && (code.includes('_') || code === 'EPROTO') ? internalStatus.tlsFailed : internalStatus.notConnected;
}

const closedByPeer = new Set(['ECONNRESET', 'EPIPE']);
