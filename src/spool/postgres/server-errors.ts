import { DatabaseError } from 'pg';
import { ServiceError } from '../../kit/errors.ts';

/**
 * Classes of SQLSTATE (PostgreSQL manual, appendix A) after which the same call may succeed later: connection (08), transaction rolled back (40),
 * resources (53), object in use (55), operator intervention (57), system error such as a failed disk (58). While a server starts or
 * fails over, also a refused login (28), an unknown database (3D) and a transaction that may only read (25).
 */
const temporaryClasses = new Set(['08', '25', '28', '3D', '40', '53', '55', '57', '58']);

/**
 * Whether the call can be tried again on a new connection. Errors of the server are known by their type, because codes of the system may
 * have the form of a SQLSTATE: `EPIPE`.
 */
export function isTemporary(error: Error): boolean {
  if (error instanceof DatabaseError) return temporaryClasses.has(classOf(error));
  if (error instanceof ServiceError || error instanceof RangeError || error instanceof TypeError) return false;
  const code = 'code' in error ? error.code : undefined;
  return typeof code === 'string' || error instanceof AggregateError || connectionMessages.test(error.message);
}

/** Whether the server has not answered in time. */
export function isTimeout({ message }: Error): boolean {
  return message.startsWith('Query read timeout');
}

/** Whether the server has refused a value of a statement (class 22, data exception). */
export function isRefusedValue(error: Error): error is DatabaseError {
  return error instanceof DatabaseError && classOf(error) === '22';
}

function classOf({ code = '' }: DatabaseError): string {
  return code.slice(0, 2);
}

/** Errors of the driver without a code. */
const connectionMessages =
  /^(Connection terminated|Client has encountered|Client was closed|Query read timeout|timeout expired|timeout exceeded)/;
