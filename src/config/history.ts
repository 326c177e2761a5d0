import type { SpoolConfig } from './config.ts';
import type { SectionReader } from './section-reader.ts';
import type { HistoryConfig } from './service-config.ts';
import { duration, flag, section, size, whole } from './values.ts';

/** `[history]` */
export const historySchema = section({
  enabled: flag.default(false),
  max_age: duration.pipe(whole(60_000)).default(86_400_000),
  max_bytes: size.pipe(whole(1_000_000)).default(1000 ** 3),
  bodies: flag.default(false),
});

/** Reads `[history]`. It records who writes to whom, so it is off unless it is enabled. */
export function readHistory(value: unknown, spool: SpoolConfig | undefined, reader: SectionReader): HistoryConfig | undefined {
  const history = reader.read(historySchema, value, ['history']);
  if (history === undefined) return undefined;
  if (history.enabled && spool?.engine === 'memory')
    reader.mistake(['history', 'enabled'], { expected: 'false, since a spool in memory has no place for a history' });
  return { enabled: history.enabled, maxAgeMs: history.max_age, maxBytes: history.max_bytes, bodies: history.bodies };
}
