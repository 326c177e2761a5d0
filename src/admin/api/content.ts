import { ServiceError } from '../../kit/errors.ts';
import type { Caller } from './route.ts';

/** Throws CONTENT_HIDDEN for who may not see what people wrote. */
export function refuseContentTo({ mayReadContent }: Caller): void {
  if (!mayReadContent) throw new ServiceError('CONTENT_HIDDEN', 'what people wrote is shown to who bears the token in [admin] token alone');
}
