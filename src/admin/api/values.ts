/** Schemas of single values in parameters and responses. */
import { z } from 'zod';
import { section } from '../../config/values.ts';
import type { EpochMs } from '../../kit/clock.ts';
import type { DeliveryId } from '../../model/delivery.ts';

const idExpected = 'the id of a delivery (its webhook-id)';

export const deliveryId = z
  .string({ error: idExpected })
  .min(1, { error: idExpected })
  .max(200, { error: idExpected })
  .transform((id) => id as DeliveryId);

/** RFC 3339 in a parameter. */
export const instant = z.iso
  .datetime({ offset: true, error: 'a time as in RFC 3339, such as "2026-11-22T06:00:00Z"' })
  .transform((time): EpochMs => Date.parse(time));

/** RFC 3339 in a response: in UTC, with milliseconds. */
export const time = z.iso.datetime();

export const count = z.int().min(0);

/**
 * A field of a response that services of earlier versions do not send; a newer command line then reads `absent`. Use it for every field that is
 * added to a response.
 */
export function addedLater<Field extends z.ZodType>(field: Field, absent: z.input<Field>) {
  return z.preprocess((sent: z.input<Field>) => (sent === undefined ? absent : sent), field);
}

/** Response to every request that is not served. */
export const refusalShape = z.object({
  code: z.string().describe('For programs; never changes.'),
  message: z.string().describe('For people.'),
});

export const noParameters = section({});

export function rfc3339(at: EpochMs): string {
  return new Date(at).toISOString();
}
