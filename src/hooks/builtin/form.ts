/**
 * A field's value in `application/x-www-form-urlencoded`, byte for byte as MongooseIM's HTTP pusher wrote it before
 * cowlib 2.14: `A-Z a-z 0-9 - . _` stand for themselves, a space is `+`, every other byte of the UTF-8 text is %XX in
 * upper case. Half a surrogate pair becomes U+FFFD, since no UTF-8 can carry it.
 */
export function encodeFormValue(text: string): string {
  if (/^[A-Za-z0-9._-]*$/.test(text)) return text;

  // A table is twice as fast as encodeURIComponent, which leaves !~*'() to be encoded afterwards.
  let encoded = '';
  for (const byte of Buffer.from(text, 'utf8')) encoded += written[byte] ?? '';
  return encoded;
}

const written: readonly string[] = Array.from({ length: 256 }, (_, byte) => {
  const character = String.fromCharCode(byte);
  if (/[A-Za-z0-9._-]/.test(character)) return character;
  return character === ' ' ? '+' : `%${byte.toString(16).toUpperCase().padStart(2, '0')}`;
});
