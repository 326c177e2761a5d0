import type { TargetRequest } from './request-reader.ts';

/** The ids under which a backend has received each message (the field `message` of a form), in order of first arrival. */
export type Sightings = ReadonlyMap<string, ReadonlySet<string>>;

/** Returns the sightings so far. Each call reads only the requests since the previous one. */
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

/** Messages whose duplicates had other ids: a backend could not distinguish them from new ones. */
export function renamed(seen: Sightings): string[] {
  return [...seen].filter(([, ids]) => ids.size > 1).map(([message]) => message);
}
