import { asObject, readJson } from '../../kit/json.ts';

/** What the JSON of an answer says that is ours: members that are absent or null say nothing. */
export interface Wishes {
  readonly callback: unknown;
  readonly payload: unknown;
}

/** Reads an answer as JSON, whatever it calls itself. Undefined: it is none, or no object, which is no mistake. */
export function readAnswer(body: string): Wishes | 'too-deep' | undefined {
  const read = readJson(body);
  if (read.kind === 'too-deep') return 'too-deep';
  const answer = read.kind === 'read' ? asObject(read.value) : undefined;
  return answer && { callback: answer['callback'] ?? undefined, payload: answer['payload'] ?? undefined };
}
