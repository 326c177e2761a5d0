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

/** The numbers (the field `message` of a form) that a backend accepted, in order. Each call reads only what is new. */
export function createAccepted(backend: ScriptedBackend): () => readonly number[] {
  return createAnswered(backend, [200]);
}

/** The numbers that a backend answered with one of these statuses. */
export function createAnswered({ requests, sightings }: ScriptedBackend, statuses: readonly number[]): () => readonly number[] {
  const numbers = new Map<string, number>();
  const answered: number[] = [];
  const looked = { requests: 0, sightings: 0 };
  return () => {
    for (; looked.requests < requests.length; looked.requests += 1) {
      const request = requests[looked.requests];
      const message = new URLSearchParams(String(request?.body)).get('message') ?? '';
      numbers.set(request?.header('webhook-id') ?? '', Number(message));
    }
    for (; looked.sightings < sightings.length; looked.sightings += 1) {
      const sighting = sightings[looked.sightings];
      if (sighting !== undefined && statuses.includes(Number(sighting.status))) answered.push(numbers.get(sighting.id) ?? Number.NaN);
    }
    return answered;
  };
}

/** Numbers that were answered after a later one of their conversation; a repeated number counts when it was first answered. */
export function outOfOrder(answered: readonly number[], conversations: number): number[] {
  const latest = new Map<number, number>();
  return [...new Set(answered)].filter((number) => {
    const conversation = number % conversations;
    const before = latest.get(conversation) ?? -1;
    latest.set(conversation, Math.max(before, number));
    return number < before;
  });
}
