import { isSecretKey } from '../config/mistakes.ts';
import { Secret } from '../kit/secret.ts';

/** A copy that can be shown: secrets and what stands under a secret's name become `[redacted]`, other texts pass `mask`. */
export function withoutSecrets(
  value: Readonly<Record<string, unknown>>,
  mask: (text: string) => string,
): Readonly<Record<string, unknown>> {
  const shown: [string, unknown][] = [];
  for (const [key, item] of Object.entries(value)) {
    if (item !== undefined) shown.push([key, isSecretKey(key) ? '[redacted]' : show(item, mask)]);
  }
  return Object.fromEntries(shown);
}

function show(value: unknown, mask: (text: string) => string): unknown {
  if (typeof value === 'string') return mask(value);
  if (value instanceof Secret) return '[redacted]';
  if (value === Number.POSITIVE_INFINITY) return 'forever'; // JSON has no such number
  if (value instanceof Date) return value.toISOString();
  if (Array.isArray(value)) return value.map((item) => show(item, mask));
  return typeof value === 'object' && value !== null ? withoutSecrets({ ...value }, mask) : value;
}
