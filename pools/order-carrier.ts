import { lookup as systemLookup } from 'node:dns';
import type { Clock } from '../src/kit/clock.ts';
import type { Resolve } from '../src/kit/dial-tcp.ts';
import type { Destination } from '../src/model/delivery.ts';
import { Connection } from './connection.ts';
import type { Job, PoolThreadSettings } from './contract.ts';
import { type DestinationGuard, guardDestination } from './destination.ts';
import { createDial } from './dial.ts';
import { Exchange, type ExchangeSurroundings } from './exchange.ts';
import { DESTINATION_REFUSED } from './failure.ts';
import { gotWorkers } from './got-worker.ts';
import { requestHeaders, unsendable } from './request-headers.ts';

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

    const dial = createDial({ origin, tls: settings.tls }, guarded(resolve, guardDestination(destination)));
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

/** Resolves a name and checks its addresses. Only these addresses are dialled, so a second lookup cannot evade the check. */
function guarded(resolve: Resolve, guard: DestinationGuard): Resolve {
  return (name, options, found) => {
    resolve(name, options, (error, addresses) => {
      if (error !== null) return found(error, []);
      const refusal = addresses.map(({ address }) => guard.refusalOf(address)).find((each) => each !== undefined);
      if (refusal === undefined) return found(null, addresses);
      found(destinationRefused(`${name} resolves to an address that is refused: ${refusal}`), []);
    });
  };
}

function destinationRefused(message: string): Error {
  return Object.assign(new Error(message), { code: DESTINATION_REFUSED });
}
