import type { ExitMsgInfo, HttpExit, HttpExitPar } from '../../../../pools/exits.ts';
import { toError } from '../../../kit/errors.ts';
import { asObject } from '../../../kit/json.ts';
import type { CallModule, Ended, Exit, ExitInput, ExitOutput, Service } from './exit.ts';
import { Parts, splitBy, structureOf } from './parts.ts';
import { ReplyBuilder } from './reply.ts';
import { requestParts } from './request.ts';

/** An exit of the user. */
export class ModuleExit implements Exit {
  readonly #exit: HttpExit;
  readonly #call: CallModule;

  constructor(exit: HttpExit, call: CallModule) {
    this.#exit = exit;
    this.#call = call;
  }

  async input(service: Service): Promise<ExitInput> {
    const put = new Parts();
    const structureInfo: ExitMsgInfo = { nrMsgParts: 0, lthMsgParts: [] };
    const par: HttpExitPar = { ...common(service), ...unavailable, ioIndicator: 'I', structureInfo, putMgetMessage: put.add };
    const end = await this.#run(service, par);
    if (end !== undefined) return end;
    try {
      return { kind: 'parts', parts: partsBy(par.structureInfo, put.all) };
    } catch (thrown) {
      return failed(thrown);
    }
  }

  async output(service: Service, parts: readonly Buffer[]): Promise<ExitOutput> {
    const builder = new ReplyBuilder(service.status);
    const { putHeader, putResponseBody, putStatus } = builder;
    const getMputMessage = (index?: number) => Buffer.from(index === undefined ? Buffer.concat(parts) : partAt(parts, index));
    const available = { getMputMessage, putHeader, putResponseBody, putStatus, structureInfo: structureOf(parts) };
    const end = await this.#run(service, { ...common(service), ...unavailable, ...available, ioIndicator: 'O' });
    return end ?? { kind: 'reply', reply: builder.reply };
  }

  /** Undefined: the exit returned 0. */
  async #run(service: Service, par: HttpExitPar): Promise<Ended | undefined> {
    try {
      await this.#call('exit', service.received.id, () => this.#exit(par));
      const retcode = retcodeOf(par.retcode);
      return retcode === 0 ? undefined : { kind: 'ended', retcode, error: undefined };
    } catch (thrown) {
      return failed(thrown);
    }
  }
}

/** A return code is 0 to 255; any other value counts as 255. */
function retcodeOf(given: unknown): number {
  return typeof given === 'number' && Number.isInteger(given) && given >= 0 && given <= 255 ? given : 255;
}

function failed(thrown: unknown): Ended {
  return { kind: 'ended', retcode: 255, error: toError(thrown) };
}

/** The parts that an exit put, or the message split by its lengths. The exit may fill the given structure or replace it. */
function partsBy(structure: unknown, put: readonly Buffer[]): readonly Buffer[] {
  if (asObject(structure)?.['nrMsgParts'] === 0) return [...put];
  const parts = splitBy(structure, Buffer.concat(put));
  if (parts === undefined) throw new Error('structureInfo does not match the length of the message');
  return parts;
}

function common({ received, ca }: Service) {
  return { ...requestParts(received), utmHttpVersion: 1, retcode: 0, httpInfo: received.info, ca } as const;
}

/** Functions that throw; each call of the exit replaces those that it may use. */
const unavailable = {
  putMgetMessage: refuse('putMgetMessage', 'input'),
  getMputMessage: refuse('getMputMessage', 'output'),
  putResponseBody: refuse('putResponseBody', 'output'),
  putStatus: refuse('putStatus', 'output'),
  putHeader: refuse('putHeader', 'output'),
};

function refuse(name: string, phase: string): () => never {
  return () => {
    throw new Error(`${name} is available only for ${phase}`);
  };
}

function partAt(parts: readonly Buffer[], index: number): Buffer {
  const part = parts[index];
  if (part === undefined) throw new RangeError(`the unit has put ${parts.length} parts, counted from 0: there is no part ${index}`);
  return part;
}
