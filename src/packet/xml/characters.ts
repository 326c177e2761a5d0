/** XML 1.0 §2.2. */
const notInXml = /[^\t\n\r\x20-\ud7ff\ue000-\ufffd\u{10000}-\u{10ffff}]/u;

/** Whether XML can carry a text: it knows no way to write most control characters. */
export function isXmlText(text: string): boolean {
  return !notInXml.test(text);
}
