/**
 * Runs one request through its exit, its program unit, and the exit again:
 *
 *   unit starts → first mget: exit (input) → parts → unit puts its own → exit (output) → commit → reply
 *
 * A service that ends before the commit has no effect.
 */
import type { UnitAcc } from '../../../../pools/exits.ts';
import type { Descriptor, ExitsAttachment } from '../../../config/service-config.ts';
import { toError } from '../../../kit/errors.ts';
import type { Outbox } from '../../source.ts';
import type { Refusal } from '../request-guard.ts';
import { type CallModule, type Exit, type ExitInput, type ModuleCaller, noneExit, type Service, type UserModules } from './exit.ts';
import { ModuleExit } from './module-exit.ts';
import { Parts } from './parts.ts';
import type { Reply } from './reply.ts';
import { SystemExit } from './system-exit.ts';
import {
  createModuleUnit,
  createPushUnit,
  createSendUnit,
  createStatusUnit,
  type PushOptions,
  type StatusCheck,
  type Unit,
  type UnitCall,
  type UnitEnd,
} from './units.ts';

/** `failed`: through a fault of a user's exit or unit; `error` is the error that it threw, if any. */
export type ServiceEnd =
  | { readonly kind: 'failed'; readonly by: 'exit' | 'unit'; readonly text: string; readonly error: Error | undefined }
  | { readonly kind: 'refused'; readonly refusal: Refusal }
  | { readonly kind: 'replied'; readonly reply: Reply };

/** Exit and unit of a descriptor, and the default status of its responses. */
export interface Program {
  readonly exit: Exit;
  readonly unit: Unit;
  readonly status: number;
}

export async function runService({ exit, unit }: Program, service: Service, acc: UnitAcc): Promise<ServiceEnd> {
  const message = new InputMessage(() => exit.input(service));
  const put = new Parts();
  const init = () => ({ httpInfo: service.received.info });
  const end = await runUnit(unit, { mget: message.mget, mgetRest: message.mgetRest, mput: put.add, init, acc });

  const input = await message.input;
  if (input?.kind === 'unfit') return { kind: 'refused', refusal: input.refusal };
  if (input?.kind === 'ended') return endedBy(input.retcode, input.error);
  if (end.kind === 'failed') return end;
  if (end.kind === 'refused') return { kind: 'refused', refusal: end.refusal };

  const output = await exit.output(service, [...put.all]);
  if (output.kind === 'ended') return endedBy(output.retcode, output.error);
  const refusal = await end.commit?.();
  return refusal === undefined ? { kind: 'replied', reply: output.reply } : { kind: 'refused', refusal };
}

/** The text is the secondary KDCS return code: 26 gives `HX1A`. */
function endedBy(retcode: number, error: Error | undefined): ServiceEnd {
  return { kind: 'failed', by: 'exit', text: `HX${retcode.toString(16).toUpperCase().padStart(2, '0')}`, error };
}

async function runUnit(unit: Unit, call: UnitCall): Promise<UnitEnd | Extract<ServiceEnd, { kind: 'failed' }>> {
  try {
    return await unit(call);
  } catch (thrown) {
    return { kind: 'failed', by: 'unit', text: 'the program unit failed', error: toError(thrown) };
  }
}

/** The input message. The exit is called once, at the first `mget`. */
class InputMessage {
  readonly #read: () => Promise<ExitInput>;
  #input: Promise<ExitInput> | undefined;
  #next = 0;

  constructor(read: () => Promise<ExitInput>) {
    this.#read = read;
  }

  /** Undefined if the unit has not called `mget`. */
  get input(): Promise<ExitInput> | undefined {
    return this.#input;
  }

  readonly mget = async (): Promise<Buffer | undefined> => {
    this.#input ??= Promise.resolve().then(this.#read); // in a separate turn, because the unit's own run is being watched now
    const input = await this.#input;
    if (input.kind !== 'parts') throw new Error('the input ended the service');
    this.#next += 1;
    return input.parts[this.#next - 1];
  };

  readonly mgetRest = async (): Promise<Buffer> => {
    const rest: Buffer[] = [];
    for (let part = await this.mget(); part !== undefined; part = await this.mget()) rest.push(part);
    return Buffer.concat(rest);
  };
}

interface ProgramOptions extends Pick<PushOptions, 'hand' | 'newPacketId' | 'readJid'> {
  readonly attachment: ExitsAttachment;
  readonly modules: UserModules;
  readonly callModule: ModuleCaller;
  readonly checks: () => readonly StatusCheck[];
  readonly outbox: Outbox | undefined;
}

/** The programs of an attachment by the names of their descriptors. */
export function createPrograms(options: ProgramOptions): ReadonlyMap<string, Program> {
  return new Map(options.attachment.descriptors.map((descriptor) => [descriptor.name, createProgram(descriptor, options)]));
}

function createProgram(descriptor: Descriptor, options: ProgramOptions): Program {
  const { attachment, callModule } = options;
  const of = `${attachment.name}/${descriptor.name}`;
  const call: CallModule = (what, id, invoke) => callModule({ of, what, id, invoke });
  const pushes = descriptor.unit.kind === 'builtin' && descriptor.unit.name === 'PUSH';
  return { exit: exitOf(descriptor, options, call), unit: unitOf(descriptor, options, call), status: pushes ? 202 : 200 };
}

function exitOf(descriptor: Descriptor, { attachment, modules }: ProgramOptions, call: CallModule): Exit {
  const { exit } = descriptor;
  switch (exit.kind) {
    case 'module':
      return new ModuleExit(loaded(modules, exit.url), call);
    case 'none':
      return noneExit;
    case 'system':
      return new SystemExit(descriptor, attachment.hosts[0] ?? '');
    default:
      return exit satisfies never;
  }
}

function unitOf({ unit }: Descriptor, options: ProgramOptions, call: CallModule): Unit {
  if (unit.kind === 'module') return createModuleUnit(loaded(options.modules, unit.url), call);
  const { name } = unit;
  switch (name) {
    case 'PUSH':
      return createPushUnit({ ...options, hosts: options.attachment.hosts });
    case 'SENDMSG':
      return createSendUnit(options);
    case 'STATUS':
      return createStatusUnit(options.checks);
    default:
      return name satisfies never;
  }
}

function loaded(modules: UserModules, url: string) {
  const main = modules.get(url);
  if (main === undefined) throw new Error(`${url} is not loaded`); // the composition root loads all modules of the configuration
  return main;
}
