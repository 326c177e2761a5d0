import type { TargetRequest } from './request-reader.ts';

/** The ids under which a backend has seen each message (the field `message` of a form), in the order of their first sights. */
export type Sightings = ReadonlyMap<string, ReadonlySet<string>>;

/** Gives what has been seen so far. Each look reads only the requests that came since the one before. */
export function createSightings(requests: readonly TargetRequest[]): () => Sightings {
  const seen = new Map<string, Set<string>>();
  let looked = 0;
  return () => {
    for (; looked < requests.length; looked += 1) {
      const request = requests[looked];
      const message = new URLSearchParams(String(request?.body)).get('message') ?? '';
      seen.set(message, (seen.get(message) ?? new Set()).add(request?.header('webhook-id') ?? ''));
    }
    return seen;
  };
}

/** Messages whose doubles came under other ids than they did: a backend could not tell them apart from new ones. */
export function renamed(seen: Sightings): string[] {
  return [...seen].filter(([, ids]) => ids.size > 1).map(([message]) => message);
}
