/** Names of HTTP headers that have a meaning for the service. */

/** The name of a header, or a method (RFC 9110 §5.6.2). */
export const tokenPattern = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;

/**
 * Headers of a request, in lower case, that neither a callback nor a pool can set: the service or the HTTP client sets them for each
 * attempt, or they are about the connection (RFC 9110 §7.6.1).
 */
export const reservedHeaders: ReadonlySet<string> = new Set([
  ...['connection', 'content-length', 'expect', 'host', 'keep-alive', 'proxy-connection', 'te', 'trailer', 'transfer-encoding'],
  ...['event-pusher-attempt', 'event-pusher-time', 'upgrade', 'user-agent', 'webhook-id', 'webhook-timestamp'],
]);
