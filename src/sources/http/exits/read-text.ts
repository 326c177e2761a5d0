import { isUtf8 } from 'node:buffer';
import { isXmlText } from '../../../packet/xml/element.ts';

/** A part as text that a stanza can hold; a part that is missing is empty. Undefined: it is not UTF-8, or XML cannot carry it. */
export function readText(part: Buffer = Buffer.alloc(0)): string | undefined {
  if (!isUtf8(part)) return undefined;
  const text = part.toString();
  return isXmlText(text) ? text : undefined;
}
