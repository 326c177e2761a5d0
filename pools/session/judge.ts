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
import type { CallbackCaller } from './call-callback.ts';
import { internalStatus } from './internal-status.ts';
import type { HandlerModule } from './load-modules.ts';
import type { Variables } from './variables.ts';

/** Where `DLV_RESPONSE_STATUS` comes from, and whether anybody is asked what it means. */
export type Standing =
  /** A callback broke: a tempfail, and nobody is asked. */
  | { readonly kind: 'broken' }
  /** It is in the message's context. */
  | { readonly kind: 'set'; readonly status: number; readonly origin: StatusOrigin }
  /** The module said it was done, and set none: delivered. */
  | { readonly kind: 'unset' };

export type Verdict = Pick<Judgement, 'origin' | 'status' | 'verdict'>;

/** The message that is judged. */
export interface Judged {
  readonly module: HandlerModule;
  readonly id: DeliveryId;
  readonly variables: Variables;
}

export interface Judge {
  /** Asks `handleResponse` what the answer means for the message. */
  answered(judged: Judged, session: Session, outcome: Extract<HttpOutcome, { kind: 'answered' }>): Promise<Standing>;
  /** Asks `statusClassifier` what the status means for the delivery. */
  verdict(judged: Judged, standing: Standing): Promise<Verdict>;
}

/** Marks the message with one of our own statuses, for its module to be asked about. */
export function troubled({ variables }: Judged, status: number, detail: string): Standing {
  variables.set(status, detail);
  return { kind: 'set', status, origin: 'internal' };
}

/** Marks the message with the status of a callback that broke. */
export function broken({ variables }: Judged, status: number, detail: string): Standing {
  variables.set(status, detail);
  return { kind: 'broken' };
}

/** What the module has set; undefined where it has set nothing, or no integer. */
export function setByModule({ variables }: Judged): Standing | undefined {
  const { status } = variables;
  return status === undefined || Number.isNaN(status) ? undefined : { kind: 'set', status, origin: 'module' };
}

export function createJudge(caller: CallbackCaller): Judge {
  async function answered(judged: Judged, session: Session, { status }: Extract<HttpOutcome, { kind: 'answered' }>): Promise<Standing> {
    const { module, id, variables } = judged;
    const about = { module, callback: 'handleResponse', id } as const;
    const notHandled = (why: string) => broken(judged, internalStatus.notHandled, why);
    const called = await caller.call({ ...about, invoke: (callbacks) => callbacks.handleResponse?.(session) });
    if (called.kind === 'failed') return notHandled(called.message);

    switch (called.value) {
      case undefined:
      case HTTP_INTERNAL_CONT:
        variables.set(status, session.response.statusReason);
        return { kind: 'set', status, origin: 'http' };
      case HTTP_INTERNAL_DONE:
        if (variables.status === undefined) return { kind: 'unset' };
        break;
      case HTTP_INTERNAL_FAIL:
        if (variables.status === undefined) return notHandled('handleResponse gave HTTP_INTERNAL_FAIL and set no status');
        break;
      default:
        caller.complain(about, new TypeError('it gave none of HTTP_INTERNAL_CONT, HTTP_INTERNAL_DONE, HTTP_INTERNAL_FAIL'));
        return notHandled('handleResponse gave no return code');
    }

    const standing = setByModule(judged);
    if (standing !== undefined) return standing;
    caller.complain(about, new TypeError('it set DLV_RESPONSE_STATUS to what is no integer'));
    return notHandled('handleResponse set a status that is no integer');
  }

  async function verdict(judged: Judged, standing: Standing): Promise<Verdict> {
    switch (standing.kind) {
      case 'broken':
        return { verdict: 'tempfailed', status: judged.variables.status, origin: 'internal' };
      case 'unset':
        return { verdict: 'success', status: undefined, origin: 'module' };
      case 'set':
        return classified(judged, standing);
      default:
        return standing satisfies never;
    }
  }

  async function classified(judged: Judged, { status, origin }: Extract<Standing, { kind: 'set' }>): Promise<Verdict> {
    const { module, id } = judged;
    if (module.callbacks.statusClassifier === undefined) return { verdict: 'unclassified', status, origin };
    const about = { module, callback: 'statusClassifier', id } as const;
    const called = await caller.call({ ...about, invoke: (callbacks) => callbacks.statusClassifier?.(status, { origin }) });
    if (called.kind === 'failed') return verdict(judged, broken(judged, internalStatus.notClassified, called.message));

    const meant = verdicts.get(called.value);
    if (meant === undefined)
      caller.complain(about, new TypeError('it gave none of DELIVERY_SUCCESS, DELIVERY_TEMPFAILED, DELIVERY_PERMFAILED'));
    return { verdict: meant ?? 'tempfailed', status, origin };
  }

  return { answered, verdict };
}

const verdicts: ReadonlyMap<unknown, Judgement['verdict']> = new Map([
  [DELIVERY_SUCCESS, 'success'],
  [DELIVERY_TEMPFAILED, 'tempfailed'],
  [DELIVERY_PERMFAILED, 'permfailed'],
]);
