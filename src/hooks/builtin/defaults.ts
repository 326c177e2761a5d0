/**
 * `mod_event_pusher_http_defaults`: the module of a handler that names none, and the source of callbacks that another module
 * leaves out. It does the same as MongooseIM's module of this name.
 */
import type { HeaderPair, PacketAsked, RequestPrepared } from '../../../pools/callbacks.ts';

const headers: readonly HeaderPair[] = [['content-type', 'application/x-www-form-urlencoded']];

/** Messages from a local user, of type exactly `chat`, whose first `<body>` is not empty. A handler's `when` replaces this test. */
export function shouldMakeReq({ dir, packet }: PacketAsked): boolean {
  return dir === 'in' && packet.name === 'message' && packet.attrs['type'] === 'chat' && packet.text('body') !== '';
}

export function prepareHeaders(): readonly HeaderPair[] {
  return headers;
}

/** A form with the fields `author`, `server`, `receiver` and `message`, in this order. */
export function prepareBody({ host, message, sender, receiver }: RequestPrepared): string {
  const encode = encodeFormValue;
  return `author=${encode(sender)}&server=${encode(host)}&receiver=${encode(receiver)}&message=${encode(message)}`;
}

/**
 * Encodes a field's value as `application/x-www-form-urlencoded`, byte for byte as MongooseIM's HTTP pusher did before
 * cowlib 2.14: `A-Z a-z 0-9 - . _` stay as they are, a space becomes `+`, every other byte of the UTF-8 text becomes %XX in
 * upper case. Half a surrogate pair becomes U+FFFD, because UTF-8 cannot encode it.
 */
export function encodeFormValue(text: string): string {
  if (/^[A-Za-z0-9._-]*$/.test(text)) return text;

  // A table is twice as fast as encodeURIComponent, which does not encode !~*'().
  let encoded = '';
  for (const byte of Buffer.from(text, 'utf8')) encoded += encodedBytes[byte] ?? '';
  return encoded;
}

const encodedBytes: readonly string[] = Array.from({ length: 256 }, (_, byte) => {
  const character = String.fromCharCode(byte);
  if (/[A-Za-z0-9._-]/.test(character)) return character;
  return character === ' ' ? '+' : `%${byte.toString(16).toUpperCase().padStart(2, '0')}`;
});
