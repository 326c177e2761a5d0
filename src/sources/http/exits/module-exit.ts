import type { ExitMsgInfo, HttpExit, HttpExitPar } from '../../../../pools/exits.ts';
import { toError } from '../../../kit/errors.ts';
import { asObject } from '../../../kit/json.ts';
import type { Ended, Exit, ExitInput, ExitOutput, Service } from './exit.ts';
import type { CallModule } from './module-call.ts';
import { createParts, cutBy, structureOf } from './parts.ts';
import { requestParts } from './received.ts';
import { createResponse } from './response.ts';
import { retcodeOf } from './secondary-code.ts';

/** An exit of the user's. `call` runs it: watched, timed, held to a deadline. */
export function createModuleExit(exit: HttpExit, call: CallModule): Exit {
  /** Undefined: it returned 0. */
  async function run(service: Service, par: HttpExitPar): Promise<Ended | undefined> {
    let retcode: number;
    try {
      await call('exit', service.received.id, () => exit(par));
      retcode = retcodeOf(par.retcode);
    } catch (thrown) {
      return ended(255, thrown);
    }
    return retcode === 0 ? undefined : { kind: 'ended', retcode, error: undefined };
  }

  async function input(service: Service): Promise<ExitInput> {
    const put = createParts();
    const structureInfo: ExitMsgInfo = { nrMsgParts: 0, lthMsgParts: [] };
    const par: HttpExitPar = { ...common(service), ...notNow, ioIndicator: 'I', structureInfo, putMgetMessage: put.add };
    const end = await run(service, par);
    if (end !== undefined) return end;
    try {
      return { kind: 'parts', parts: partsBy(par.structureInfo, put.all) };
    } catch (thrown) {
      return ended(255, thrown);
    }
  }

  async function output(service: Service, parts: readonly Buffer[]): Promise<ExitOutput> {
    const response = createResponse(service.status);
    const getMputMessage = (index?: number) => Buffer.from(index === undefined ? Buffer.concat(parts) : partAt(parts, index));
    const put = { ...response.put, getMputMessage };
    const end = await run(service, { ...common(service), ...notNow, ...put, ioIndicator: 'O', structureInfo: structureOf(parts) });
    return end ?? { kind: 'reply', reply: response.reply() };
  }

  return { input, output };
}

/** The parts that an exit put, or the message cut by its lengths. The exit may fill the given structure or replace it. */
function partsBy(structure: unknown, put: readonly Buffer[]): readonly Buffer[] {
  if (asObject(structure)?.['nrMsgParts'] === 0) return [...put];
  const parts = cutBy(structure, Buffer.concat(put));
  if (parts === undefined) throw new Error('structureInfo does not match the length of the message');
  return parts;
}

function common({ received, ca }: Service) {
  return { ...requestParts(received), utmHttpVersion: 1, retcode: 0, httpInfo: received.info, ca } as const;
}

/** What each of the two calls may not use; it puts its own in their place. */
const notNow = {
  putMgetMessage: refuse('putMgetMessage', 'input'),
  getMputMessage: refuse('getMputMessage', 'output'),
  putResponseBody: refuse('putResponseBody', 'output'),
  putStatus: refuse('putStatus', 'output'),
  putHeader: refuse('putHeader', 'output'),
};

function refuse(name: string, phase: string): () => never {
  return () => {
    throw new Error(`${name} is for the ${phase} alone`);
  };
}

function partAt(parts: readonly Buffer[], index: number): Buffer {
  const part = parts[index];
  if (part === undefined) throw new RangeError(`the unit has put ${parts.length} parts, counted from 0: there is no part ${index}`);
  return part;
}

function ended(retcode: number, thrown: unknown): Ended {
  return { kind: 'ended', retcode, error: toError(thrown) };
}
