/** What the JSON of an answer says that is ours: members that are absent or null say nothing. */
export interface Wishes {
  readonly callback: unknown;
  readonly payload: unknown;
}

/** Reads an answer as JSON, whatever it calls itself. Undefined: it is none, or no object, which is no mistake. */
export function readAnswer(body: string): Wishes | undefined {
  const answer = asObject(parsed(body));
  return answer && { callback: answer['callback'] ?? undefined, payload: answer['payload'] ?? undefined };
}

export function asObject(value: unknown): Readonly<Record<string, unknown>> | undefined {
  return isObject(value) ? value : undefined;
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined; // most backends answer with something else
  }
}
