/**
 * Text as it stands between tags. What XML 1.0 cannot carry at all becomes U+FFFD: a chat server would close the stream
 * over one such character.
 */
export function escapeText(text: string): string {
  return TEXT_SPECIALS.test(text) ? text.replace(TEXT_SPECIAL, escaped) : text;
}

/** Text as it stands between double quotes; line ends and tabs are kept as references (XML 1.0 §3.3.3). */
export function escapeAttribute(value: string): string {
  return ATTRIBUTE_SPECIALS.test(value) ? value.replace(ATTRIBUTE_SPECIAL, escaped) : value;
}

const TEXT_SPECIALS = /[&<>\ufffe\uffff]|\p{Surrogate}|(?![\t\n\x7f-\x9f])\p{Cc}/u;
const TEXT_SPECIAL = new RegExp(TEXT_SPECIALS, 'gu');
const ATTRIBUTE_SPECIALS = /[&<>"'\ufffe\uffff]|\p{Surrogate}|(?![\x7f-\x9f])\p{Cc}/u;
const ATTRIBUTE_SPECIAL = new RegExp(ATTRIBUTE_SPECIALS, 'gu');

function escaped(character: string): string {
  switch (character) {
    case '&':
      return '&amp;';
    case '<':
      return '&lt;';
    case '>':
      return '&gt;';
    case '"':
      return '&quot;';
    case "'":
      return '&apos;';
    case '\t':
      return '&#9;';
    case '\n':
      return '&#10;';
    case '\r':
      return '&#13;';
    default:
      return '\ufffd';
  }
}
