import { ServiceError } from '../../kit/errors.ts';
import type { Caller } from './route.ts';

/** Replaces an error text that the caller may not see. */
export const hidden = '[hidden]';

/** The callback name at the start of a failure text. */
const callbackName = /^(shouldMakeReq|prepareHeaders|prepareBody): /;

/**
 * The reason of a failure for callers that may not see content. Error texts of callbacks may quote a message or an option, so
 * only the status, the name of the callback and the service's own texts remain.
 */
export function withoutQuotes(text: string, isOurs: boolean): string {
  const status = /^status \d{3}/.exec(text)?.[0];
  if (status !== undefined) return status === text ? text : `${status} ${hidden}`;
  const callback = callbackName.exec(text)?.[0];
  if (callback !== undefined) return `${callback}${hidden}`;
  return isOurs || text === '' ? text : hidden;
}

/** Throws CONTENT_HIDDEN for who may not see what people wrote. */
export function refuseContentTo({ mayReadContent }: Caller): void {
  if (!mayReadContent) throw new ServiceError('CONTENT_HIDDEN', 'what people wrote is shown to who bears the token in [admin] token alone');
}
