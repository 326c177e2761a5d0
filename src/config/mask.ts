import type { Secret } from '../kit/secret.ts';

/** Shorter texts are masked only where they are the whole value: they may stand in innocent words by chance. */
const shortestPart = 8;

/** Makes a function that replaces what must not be shown: whole values, and longer texts also inside other values. */
export function createMask(redacted: readonly Secret[]): (text: string) => string {
  const texts = [...new Set(redacted.map((secret) => secret.reveal()))].filter((text) => text !== '').sort((a, b) => b.length - a.length);
  const whole = new Set(texts);
  const parts = texts.filter((text) => text.length >= shortestPart);

  return (text) => {
    if (whole.has(text)) return '[redacted]';
    return parts.reduce((shown, part) => shown.replaceAll(part, '[redacted]'), text);
  };
}
