import { type LookupAddress, type LookupAllOptions, lookup as systemLookup } from 'node:dns';
import type { LookupFunction } from 'node:net';
import type { Clock } from '../src/kit/clock.ts';
import { Connection } from './connection.ts';
import type { Destination, Job, PoolThreadSettings } from './contract.ts';
import { type DestinationGuard, guardDestination } from './destination.ts';
import { createDial } from './dial.ts';
import { Exchange, type ExchangeSurroundings } from './exchange.ts';
import { DESTINATION_REFUSED } from './failure.ts';
import { gotWorkers } from './got-worker.ts';
import { requestHeaders, unsendable } from './request-headers.ts';

/** Finds all addresses of a name. */
export type Resolve = (
  name: string,
  options: LookupAllOptions,
  found: (error: NodeJS.ErrnoException | null, addresses: LookupAddress[]) => void,
) => void;

export interface OrderCarrierOptions {
  readonly settings: Pick<PoolThreadSettings, 'tls' | 'userAgent'>;
  readonly clock: Clock;
  readonly around: ExchangeSurroundings;
  /** Default: the system's resolver. */
  readonly resolve?: Resolve | undefined;
}

/** The code of an outcome for an order that breaks a rule of the format. */
export const ORDER_BROKEN = 'ORDER_BROKEN';

/** Carries requests to origins of their own, each over a connection of its own, dialled where the guard allows it alone. */
export function createOrderCarrier({ settings, clock, around, resolve = systemLookup }: OrderCarrierOptions) {
  return (job: Job, free: () => void): void => {
    const { destination = nowhere } = job;
    const { origin } = destination;
    const exchange = new Exchange(job, around);
    const why = refusalOf(job, destination);
    if (why !== undefined) {
      exchange.unsent(why);
      return free();
    }

    const dial = createDial({ origin, tls: settings.tls }, guardedLookup(guardDestination(destination), resolve));
    const worker = gotWorkers(origin)(new Connection(dial));
    worker.carry(exchange, {
      headers: requestHeaders(job, { userAgent: settings.userAgent, now: clock.now() }),
      free: () => void worker.close().then(free),
    });
  };
}

/** Of a job that got here by mistake. */
const nowhere: Destination = { origin: '', fault: 'it is no order', allow: [], ownOrigin: '' };

/** Why nothing is even looked up. */
function refusalOf(job: Job, destination: Destination): { readonly code: string; readonly message: string } | undefined {
  if (destination.fault !== undefined) return { code: ORDER_BROKEN, message: destination.fault };
  const { refusal } = guardDestination(destination);
  return refusal === undefined ? unsendable(job) : { code: DESTINATION_REFUSED, message: refusal };
}

/** What Node dials is what this gives, so the addresses that are checked here are those that are dialled. */
function guardedLookup(guard: DestinationGuard, resolve: Resolve): LookupFunction {
  return (name, options, found) => {
    resolve(name, { ...options, all: true }, (error, addresses) => {
      const refusal = addresses?.map(({ address }) => guard.refusalOf(address)).find((each) => each !== undefined);
      const [first] = addresses ?? [];
      if (error !== null) return found(error, []);
      if (refusal !== undefined) return found(destinationRefused(`${name} resolves to an address that is refused: ${refusal}`), []);
      if (options.all === true || first === undefined) return found(null, addresses);
      found(null, first.address, first.family);
    });
  };
}

function destinationRefused(message: string): Error {
  return Object.assign(new Error(message), { code: DESTINATION_REFUSED });
}
