/**
 * Encodes fields as `application/x-www-form-urlencoded`, byte for byte as MongooseIM's HTTP pusher did before cowlib
 * 2.14: `A-Z a-z 0-9 - . _` stand for themselves, a space is `+`, every other byte of the UTF-8 text is %XX in upper
 * case. Half a surrogate pair becomes U+FFFD, since no UTF-8 can carry it.
 */
export function encodeForm(fields: readonly (readonly [name: string, value: string])[]): string {
  let form = '';
  for (const [name, value] of fields) form += `${form === '' ? '' : '&'}${encode(name)}=${encode(value)}`;
  return form;
}

function encode(text: string): string {
  if (/^[A-Za-z0-9._-]*$/.test(text)) return text;

  // encodeURIComponent differs in that it leaves !~*'() as they are, and a space is %20.
  return encodeURIComponent(text.replace(/\p{Surrogate}/gu, '\uFFFD')).replace(/%20|[!~*'()]/g, (left) =>
    left === '%20' ? '+' : `%${left.charCodeAt(0).toString(16).toUpperCase()}`,
  );
}
