import type { TargetRequest } from './request-reader.ts';
import type { ScriptedBackend } from './scripted-backend.ts';

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

/** The numbers (the field `message` of a form) that a backend answered with 200, in order. Each call reads only what is new. */
export function createAccepted({ requests, sightings }: ScriptedBackend): () => readonly number[] {
  const numbers = new Map<string, number>();
  const accepted: number[] = [];
  const looked = { requests: 0, sightings: 0 };
  return () => {
    for (; looked.requests < requests.length; looked.requests += 1) {
      const request = requests[looked.requests];
      const message = new URLSearchParams(String(request?.body)).get('message') ?? '';
      numbers.set(request?.header('webhook-id') ?? '', Number(message));
    }
    for (; looked.sightings < sightings.length; looked.sightings += 1) {
      const sighting = sightings[looked.sightings];
      if (sighting?.status === 200) accepted.push(numbers.get(sighting.id) ?? Number.NaN);
    }
    return accepted;
  };
}

/** Numbers that were accepted after a later one of their conversation; a repeated number counts when it was first accepted. */
export function outOfOrder(accepted: readonly number[], conversations: number): number[] {
  const latest = new Map<number, number>();
  return [...new Set(accepted)].filter((number) => {
    const conversation = number % conversations;
    const before = latest.get(conversation) ?? -1;
    latest.set(conversation, Math.max(before, number));
    return number < before;
  });
}
