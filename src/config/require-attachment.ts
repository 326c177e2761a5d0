import { ServiceError } from '../kit/errors.ts';
import type { Config } from './config.ts';

/** Throws CONFIG_INVALID for a configuration that can be checked but not run: it attaches to nothing. */
export function requireAttachment({ attachments, file }: Config): void {
  if (attachments.length > 0) return;
  const what =
    'attaches to no chat server: add a table [attach.NAME] with type, service, domain and secret, with type = "http" and listen, or with type = "client" and an account';
  throw new ServiceError('CONFIG_INVALID', `${file} ${what}`);
}
