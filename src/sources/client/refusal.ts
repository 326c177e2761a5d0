import type { ClientAttachment } from '../../config/config.ts';
import { messageOf, ServiceError } from '../../kit/errors.ts';
import type { StreamEnd } from '../xmpp-stream.ts';

/**
 * Why a connection ended, with the remedy. `refused`: a retry soon would fail in the same way;
 * `occupied`: another resource would succeed.
 */
export function refusedBy(
  error: Error & { readonly code?: unknown; readonly condition?: unknown },
  attachment: ClientAttachment,
): StreamEnd {
  const { user, domain } = attachment.jid;
  const key = `[attach.${attachment.name}]`;
  if (error instanceof ServiceError && error.code === 'ATTACH_REFUSED') return { kind: 'refused', reason: error.message };
  if (error.name === 'SASLError') {
    const said = typeof error.condition === 'string' ? error.condition : error.message;
    if (said === 'temporary-auth-failure') return { kind: 'failed', reason: `the login failed for now: ${said}` };
    return { kind: 'refused', reason: `the server refuses the login of ${user}@${domain}: ${said}. Check ${key} jid and password` };
  }
  if (isOfCertificate(error)) {
    return { kind: 'refused', reason: `the certificate of ${domain} is not accepted: ${error.message}. See ${key} tls.cacertfile` };
  }
  switch (error.condition) {
    case 'host-unknown':
      return { kind: 'refused', reason: `the server does not serve ${domain}. Check ${key} jid and service` };
    case 'conflict':
      return { kind: 'occupied', reason: `another client has taken the resource "${attachment.resource}" of ${user}@${domain}` };
    default:
      return { kind: 'failed', reason: typeof error.condition === 'string' ? `stream error: ${error.condition}` : messageOf(error) };
  }
}

/** Node's codes for certificates: of OpenSSL's verification, and its own for a name that does not fit. */
function isOfCertificate({ code }: { readonly code?: unknown }): boolean {
  return typeof code === 'string' && /CERT|SIGNATURE|ERR_TLS_/.test(code);
}
